#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The webhook of a whole service: who is told what, and what a receiver that misbehaves leads to.

The service is the first argument. It has no other destination unless a test gives it one.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import hostile_collector as hostile  # noqa: E402  (it lies beside the other test support)
from fault import WRAP, FaultCase  # noqa: E402

HOST = sys.argv.pop(1)
SLACK_S = 0.3 if os.environ.get("SONDE_SANITIZE", "none") == "none" and not WRAP else 4.0
SECRET = "/services/T0AB1CD2E/B0XYZ9876/hunter2hunter2hunter2"


class Run:
    def __init__(self, output, diagnostics, returncode):
        self.output, self.diagnostics, self.returncode = output, diagnostics, returncode
        self.accounts = {}
        for line in output.splitlines():
            if line.startswith("account "):
                numbers = [int(word) for word in line.split()[1:]]
                self.accounts[numbers[0], numbers[1]] = dict(zip(
                    ("captured", "exported", "queued", "lost", "refused", "limited"), numbers[2:]))

    def stop_seconds(self):
        return float(re.search(r"^stop -?\d+ ([\d.]+)$", self.output, re.M)[1])


class WebhookCase(FaultCase):
    def settings(self, url, **more):
        base = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SONDE_"))}
        base.update(OTEL_TRACES_EXPORTER="none", OTEL_LOGS_EXPORTER="none", SONDE_BOX_DIRECTORY=self.box_directory(),
                    SONDE_RETRY_INITIAL="20", SONDE_RETRY_MAX="50", SONDE_STATE_DIRECTORY=self.folder)
        if url:
            base["SONDE_WEBHOOK_URL"] = url + SECRET
        base.update({k: str(v) for k, v in more.items() if v is not None})
        return base

    def run_host(self, url, *steps, **settings):
        done = subprocess.run([*WRAP, HOST, *steps], env=self.settings(url, **settings), timeout=100,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        run = Run(done.stdout.decode(), done.stderr.decode("utf-8"), done.returncode)
        self.assertEqual(run.returncode, 0, run.diagnostics)
        self.check_accounts(run)
        for part in SECRET.split("/")[3:]:
            self.assertNotIn(part, run.diagnostics)
        return run

    def check_accounts(self, run):
        for key, account in run.accounts.items():
            self.assertEqual(account["captured"], account["exported"] + account["queued"] + account["lost"],
                             f"{key}: {run.accounts}")

    def messages(self, collector):
        """Every body that came: valid UTF-8, valid JSON, no controls, each field of the generic form."""
        found = []
        for request in collector.requests:
            self.assertEqual((request.method, request.path), ("POST", SECRET))
            self.assertEqual(request.headers["content-type"], "application/json")
            self.assertEqual(request.headers["user-agent"], "sonde/0.1.0")
            found.append(json.loads(request.body.decode("utf-8")))
        return found


class Told(WebhookCase):
    def test_a_new_error_with_no_other_destination(self):
        with hostile.Collector(hostile.answer(200, b"ok", content_type="text/html")) as collector:
            run = self.run_host(collector.url, "log=chatter", "new=card of order 7 was declined", "stop=5000",
                                SONDE_TRACE_URL="http://jaeger.test/trace/{trace_id}?uiFind={span_id}")
        [message] = self.messages(collector)
        [error] = message["errors"]
        self.assertEqual(message["text"],
                         "shop 1.4.2 (test): new error: payment_declined: card of order 7 was declined")
        self.assertEqual((message["service"], message["version"], message["environment"]), ("shop", "1.4.2", "test"))
        self.assertTrue(message["host"])
        self.assertEqual((message["more"], message["held_back"], message["limit_reached"]), (0, 0, False))
        self.assertEqual((error["first_seen"], error["regressed"], error["fatal"]), (True, False, False))
        self.assertEqual((error["type"], error["message"], error["severity"]),
                         ("payment_declined", "card of order 7 was declined", "ERROR"))
        self.assertRegex(error["time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual((error["function"], os.path.basename(error["file"])), ("raise_marked", "webhook_host.c"))
        self.assertGreater(error["line"], 10)
        self.assertRegex(error["id"], "^[0-9a-f]{16}$")
        self.assertRegex(error["trace_id"], "^[0-9a-f]{32}$")
        self.assertRegex(error["span_id"], "^[0-9a-f]{16}$")
        self.assertEqual(error["trace_url"],
                         "http://jaeger.test/trace/%s?uiFind=%s" % (error["trace_id"], error["span_id"]))
        self.assertEqual((error["version"], error["environment"]), ("1.4.2", "test"))
        self.assertEqual(run.accounts[0, 1], dict(captured=2, exported=2, queued=0, lost=0, refused=0, limited=0))
        self.assertEqual(run.diagnostics, "")

    def test_nothing_to_tell_sends_nothing(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            run = self.run_host(collector.url, "log=chatter", "log=more", "span=x", "fatal=not asked for", "stop=5000")
        self.assertEqual((collector.requests, collector.connections), ([], 0))
        self.assertEqual(run.accounts[0, 1]["exported"], 3)


if __name__ == "__main__":
    unittest.main(verbosity=1)
