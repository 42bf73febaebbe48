#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The webhook of a whole service: who is told what, and what a receiver that misbehaves leads to.

The service is the first argument, and the second a program that writes messages about given texts. The
service has no other destination unless a test gives it one.
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

HOST, DUMP = sys.argv.pop(1), sys.argv.pop(1)
IS_WATCHED = os.environ.get("SONDE_SANITIZE", "none") != "none" or bool(WRAP)
SLACK_S = 4.0 if IS_WATCHED else 0.3
FIELDS = ["first_seen", "regressed", "fatal", "time", "severity", "type", "message", "fingerprint", "id", "version",
          "environment", "function", "file", "line", "trace_id", "span_id", "trace_url"]
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
        base.update({k: v if isinstance(v, bytes) else str(v) for k, v in more.items()})
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


    def test_many_at_once_are_a_few_messages(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            run = self.run_host(collector.url, "many=300", "stop=5000")
        told = sum(len(message["errors"]) + message["more"] for message in self.messages(collector))
        self.assertEqual(told + run.accounts[0, 1]["limited"], 300)
        self.assertLessEqual(len(collector.requests), 10)
        self.assertTrue(all(len(message["errors"]) <= 10 for message in self.messages(collector)))

    def test_a_limit_is_said_and_counted(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            run = self.run_host(collector.url, *["new=x", "flush=5000"] * 5, "stop=5000", SONDE_WEBHOOK_PER_MINUTE=2)
        first, second = self.messages(collector)
        self.assertEqual((first["limit_reached"], second["limit_reached"]), (False, True))
        self.assertEqual(run.accounts[0, 1], dict(captured=5, exported=2, queued=0, lost=3, refused=0, limited=3))

    def test_errors_that_are_on_spans_alone(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            run = self.run_host(collector.url, "span=x", "new=on a span", "span=y", "log=chatter", "stop=5000",
                                EXCEPTION_SIGNAL="span")
        [message] = self.messages(collector)
        [error] = message["errors"]
        self.assertEqual((error["message"], error["first_seen"]), ("on a span", True))
        self.assertRegex(error["trace_id"], "^[0-9a-f]{32}$")
        self.assertEqual((run.accounts[0, 0]["exported"], run.accounts[0, 1]["exported"]), (3, 1))

    def test_what_is_told_of(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            self.run_host(collector.url, "new=a", "back=b", "fatal=c", "stop=5000",
                          SONDE_WEBHOOK_ON="fatal,regressed")
        told = [(e["message"], e["regressed"], e["fatal"]) for m in self.messages(collector) for e in m["errors"]]
        self.assertEqual(sorted(told), [("b", True, False), ("c", False, True)])

    def test_an_option_in_code(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            self.run_host(None, "new=x", "stop=5000", WEBHOOK_OPTION=collector.url + SECRET)
        self.assertEqual(len(self.messages(collector)), 1)

    def test_slacks_form(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            self.run_host(collector.url, "new=<!channel> & co", "stop=5000", SONDE_WEBHOOK_FORMAT="slack",
                          SONDE_TRACE_URL="http://j/{trace_id}")
        [message] = self.messages(collector)
        self.assertEqual(message["text"],
                         "shop 1.4.2 (test): new error: payment_declined: &lt;!channel&gt; &amp; co")
        [attachment] = message["attachments"]
        self.assertEqual(attachment["text"], "&lt;!channel&gt; &amp; co")
        self.assertRegex(attachment["title_link"], "^http://j/[0-9a-f]{32}$")

    def test_headers(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            self.run_host(collector.url, "new=x", "stop=5000", SONDE_WEBHOOK_HEADERS="Authorization=Bearer%20x")
        self.assertEqual(collector.requests[0].headers["authorization"], "Bearer x")

    def test_within_seconds_while_the_service_runs(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            host = subprocess.Popen([*WRAP, HOST, "new=x", "say=it", "wait", "stop=5000"],
                                    env=self.settings(collector.url), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    text=True)
            with host:
                self.assertEqual(host.stdout.readline(), "said it\n")
                began = time.monotonic()
                while not collector.requests and time.monotonic() - began < 10:
                    time.sleep(0.01)
                self.assertLess(time.monotonic() - began, 2 + SLACK_S)
                host.stdin.write("\n")
                host.stdin.close()
                self.assertIn("stop 0", host.stdout.read())
        self.assertEqual(len(self.messages(collector)), 1)

    def test_hostile_texts_of_a_whole_service(self):
        for text in (b"\xff\xfe\xc0\xaf", b'"}],"x":{"', b"\x1b[2J\x07\r\nHTTP/1.1", b"\\u0000\\", b"\xe2\x80\xae abc",
                     b"x" * 100000, "\U0001f4a5".encode() * 30000, b"%n%s%s"):
            for form in ("generic", "slack"):
                with self.subTest(text[:20], form=form), hostile.Collector(hostile.answer(200)) as collector:
                    self.run_host(collector.url, "new=@", "stop=5000", HOSTILE=text, SONDE_WEBHOOK_FORMAT=form)
                    [message] = self.messages(collector)
                    self.assertTrue(all(c >= " " and c != "\x7f" for c in message["text"]))
                    self.assertLess(len(collector.requests[0].body), 16384)


class Texts(unittest.TestCase):
    """Past the pipeline: whatever the bytes, the message is JSON and holds nothing but what it should."""

    def dump(self, texts):
        framed = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
        done = subprocess.run([*WRAP, DUMP], input=framed, stdout=subprocess.PIPE, check=True, timeout=100)
        bodies, at = [], 0
        while at < len(done.stdout):
            size = int.from_bytes(done.stdout[at:at + 4], "little")
            bodies.append(done.stdout[at + 4:at + 4 + size])
            at += 4 + size
        return list(zip(texts, bodies[::2], bodies[1::2], strict=True))

    def strings(self, value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, dict)):
            for child in value.values() if isinstance(value, dict) else value:
                yield from self.strings(child)

    def parse(self, body):
        pairs = []
        message = json.loads(body.decode("utf-8"), object_pairs_hook=lambda p: (pairs.append([k for k, _ in p]), dict(p))[1])
        for keys in pairs:
            self.assertEqual(len(keys), len(set(keys)))
        for text in self.strings(message):
            self.assertNotRegex(text, "[\\x00-\\x1f\\x7f-\\x9f]")
            self.assertLess(len(text.encode()), 3400)
        return message

    def check(self, text, generic, slack):
        shape = self.parse(generic)
        self.assertEqual((len(shape["errors"]), shape["more"], list(shape)[:2]), (10, 2, ["text", "service"]))
        for error in shape["errors"]:
            self.assertEqual(list(error), FIELDS)
        message = self.parse(slack)
        self.assertEqual((set(message), len(message["attachments"])), ({"text", "attachments"}, 10))
        for shown in self.strings(message):
            self.assertNotRegex(shown, "[<>]|&(?!(amp|lt|gt);)" if not shown.startswith("http://j/") else "[<> ]")
        if text.isascii() and text.decode().isprintable() and len(text) <= 160 and b"  " not in text:
            self.assertEqual(shape["errors"][0]["message"], text.decode().lstrip(" "))
            value = message["attachments"][0]["text"].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
            self.assertEqual(value, text.decode().lstrip(" "))

    def test_every_byte_and_every_pair_of_bad_ones(self):
        odd = b'\x00"\\\x1f\x7f<>&\x80\xbf\xc2\xe0\xed\xf0\xf4\xff \n'
        texts = [bytes([byte]) for byte in range(256)] + [bytes([a, b]) for a in odd for b in odd]
        for found in self.dump(texts):
            with self.subTest(found[0]):
                self.check(*found)

    def test_noise_and_length(self):
        import random
        noise = random.Random(7)
        alphabet = [b"<", b">", b"&", b'"', b"\\", b"\n", b"\xff", b"\xc2\x85", "\u2028".encode(), "\u202e".encode(),
                    "\U0001f4a5".encode(), b"a", b" ", b"\x00", b"&amp;", b"{trace_id}"]
        texts = [noise.randbytes(noise.randrange(2000)) for _ in range(150)]
        texts += [b"".join(noise.choices(alphabet, k=noise.randrange(1500))) for _ in range(150)]
        texts += [b"&" * 100000, b'"' * 100000, b"\xe2\x82" * 50000, "\U0001f4a5".encode() * 25000, b" " * 100000, b""]
        for found in self.dump(texts):
            with self.subTest(found[0][:40]):
                self.check(*found)


class Known(WebhookCase):
    """Without marks by hand: what the pipeline remembers from process to process."""

    def test_a_bug_is_told_once(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            self.run_host(collector.url, "bug=x", "flush=5000", "bug=x", "stop=5000")
            [message] = self.messages(collector)
            [error] = message["errors"]
            self.assertEqual((error["first_seen"], error["message"]), (True, "x"))
            self.assertRegex(error["fingerprint"], "^[0-9a-f]{16}$")
            self.run_host(collector.url, "bug=x", "stop=5000")
            self.assertEqual(len(collector.requests), 1)
            with tempfile.TemporaryDirectory() as lost:
                self.run_host(collector.url, "bug=x", "stop=5000", SONDE_STATE_DIRECTORY=lost)
            self.assertEqual(len(self.messages(collector)), 2)
            self.assertEqual(self.messages(collector)[1]["errors"][0]["fingerprint"], error["fingerprint"])

    def test_a_bug_that_went_out_on_spans_alone(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            self.run_host(collector.url, "bug=x", "stop=5000", EXCEPTION_SIGNAL="span")
        self.assertEqual([e["first_seen"] for m in self.messages(collector) for e in m["errors"]], [True])

    @unittest.skipIf(IS_WATCHED, "sanitizers and valgrind have their troubles with children of threaded processes")
    def test_forked_children_tell_by_themselves(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            run = self.run_host(collector.url, "new=parent", "flush=5000", "fork=child", "stop=5000")
        self.assertNotIn("child_failed", run.output)
        self.assertEqual([e["message"] for m in self.messages(collector) for e in m["errors"]], ["parent", "child"])


class BesideOtlp(WebhookCase):
    """The default destination stays, and neither hears of the other's troubles."""

    def otlp(self, collector, **more):
        return dict(OTEL_TRACES_EXPORTER="otlp", OTEL_LOGS_EXPORTER="otlp", OTEL_METRICS_EXPORTER="none",
                    OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **more)

    def test_both_get_theirs(self):
        with hostile.Collector(hostile.answer(200)) as collector, \
                hostile.Collector(hostile.answer(200)) as receiver:
            run = self.run_host(receiver.url, "log=chatter", "new=x", "span=y", "stop=5000", **self.otlp(collector))
        self.assertEqual(len(self.messages(receiver)), 1)
        self.assertEqual({r.path for r in collector.requests}, {"/v1/traces", "/v1/logs"})
        for destination in (0, 1):
            self.assertEqual((run.accounts[destination, 1]["captured"], run.accounts[destination, 1]["exported"]), (2, 2))
        self.assertEqual((run.accounts[0, 0]["exported"], run.accounts[1, 0]["captured"]), (2, 0))

    def test_a_receiver_that_hangs_holds_up_nothing(self):
        with hostile.Collector(hostile.answer(200)) as collector, \
                hostile.Collector(hostile.hang_before_answer) as receiver:
            run = self.run_host(receiver.url, "new=x", "log=y", "stop=700", **self.otlp(collector))
        self.assertLess(run.stop_seconds(), 0.7 + SLACK_S)
        self.assertEqual(run.accounts[0, 1]["exported"], 2)
        self.assertEqual((run.accounts[1, 1]["exported"], run.accounts[1, 1]["lost"]), (1, 1))

    def test_a_collector_that_hangs_holds_up_no_alert(self):
        with hostile.Collector(hostile.hang_before_answer) as collector, \
                hostile.Collector(hostile.answer(200)) as receiver:
            run = self.run_host(receiver.url, "new=x", "stop=700", **self.otlp(collector))
        self.assertEqual(len(self.messages(receiver)), 1)
        self.assertEqual((run.accounts[0, 1]["lost"], run.accounts[1, 1]["exported"]), (1, 1))


class Faults(WebhookCase):
    def said(self, run, pattern):
        lines = [line for line in run.diagnostics.splitlines() if re.search(pattern, line)]
        self.assertEqual(len(lines), 1, f"{pattern!r} in {run.diagnostics!r}")
        return lines[0]

    def test_later_is_tried_again(self):
        for status in (500, 503, 429, 408):
            with self.subTest(status):
                behave = hostile.in_turn(hostile.response(status), hostile.response(200))
                with hostile.Collector(behave) as collector:
                    run = self.run_host(collector.url, "new=x", "say=it", "flush=100", "flush=5000", "flush=5000",
                                        "stop=5000")
                first, second = self.messages(collector)
                self.assertEqual(first, second)
                self.assertEqual((run.accounts[0, 1]["exported"], run.accounts[0, 1]["lost"]), (1, 0))
                self.said(run, str(status))

    def test_a_wish_to_wait_is_granted(self):
        times = []

        def behave(connection):
            while True:
                connection.read_request()
                times.append(time.monotonic())
                connection.send(hostile.response(429, headers={"Retry-After": "1"}) if len(times) == 1 else
                                hostile.response(200))
        with hostile.Collector(behave) as collector:
            host = subprocess.Popen([*WRAP, HOST, "new=x", "wait", "stop=5000"], env=self.settings(collector.url),
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            with host:
                began = time.monotonic()
                while len(times) < 2 and time.monotonic() - began < 20:
                    time.sleep(0.01)
                host.stdin.close()
                output = host.stdout.read()
        self.assertEqual(len(times), 2)
        self.assertGreaterEqual(times[1] - times[0], 0.95)
        self.assertIn("stop 0", output)

    def test_refusals_are_final_and_said_once(self):
        for status, words in ((400, "SONDE_WEBHOOK_FORMAT"), (403, "credentials"), (404, "still valid"),
                              (410, "removed"), (501, "answered 501")):
            with self.subTest(status), hostile.Collector(hostile.answer(status)) as collector:
                run = self.run_host(collector.url, "new=x", "flush=5000", "new=y", "flush=5000", "log=z", "stop=5000")
                self.assertEqual(len(collector.requests), 2)
                self.assertEqual(run.accounts[0, 1], dict(captured=3, exported=1, queued=0, lost=2, refused=2, limited=0))
                self.assertIn(words, self.said(run, words))
                self.assertIn("127.0.0.1:%d" % collector.port, run.diagnostics)

    def test_a_redirect_is_not_followed_nor_told_in_full(self):
        with hostile.Collector(hostile.answer(200)) as elsewhere:
            headers = {"Location": elsewhere.url + SECRET}
            with hostile.Collector(hostile.answer(307, headers=headers)) as collector:
                run = self.run_host(collector.url, "new=x", "stop=5000")
        self.assertEqual(elsewhere.requests, [])
        self.assertIn(elsewhere.url + ", which is not followed: correct SONDE_WEBHOOK_URL", self.said(run, "redirects"))

    def test_an_answer_that_repeats_the_path(self):
        body = b"Cannot POST " + SECRET.encode()
        with hostile.Collector(hostile.answer(404, body, content_type="text/plain")) as collector:
            self.run_host(collector.url, "new=x", "stop=5000")

    def test_nothing_listens(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            url = collector.url
        run = self.run_host(url, "new=x", "stop=300")
        self.assertLess(run.stop_seconds(), 0.3 + SLACK_S)
        self.said(run, "nothing listens at " + url + "$")
        self.assertEqual(run.accounts[0, 1]["lost"], 1)

    def test_broken_and_rubbish(self):
        for behave in (hostile.reset_after_request, hostile.close_without_answer, hostile.garbage, hostile.drip,
                       hostile.hang_in_answer):
            with self.subTest(behave.__name__), hostile.Collector(behave) as collector:
                run = self.run_host(collector.url, "new=x", "stop=400")
                self.assertLess(run.stop_seconds(), 0.4 + SLACK_S)
                self.assertEqual(run.accounts[0, 1]["lost"], 1)

    def test_the_breaker_opens(self):
        with hostile.Collector(hostile.answer(503)) as collector:
            run = self.run_host(collector.url, "new=x", *["flush=2000"] * 3, "say=it", "stop=300",
                                SONDE_BREAKER_FAILURES=2)
        self.said(run, "sending logs pauses after 2 failures in a row")
        self.assertEqual(run.accounts[0, 1]["lost"], 1)

    def test_no_url_that_can_be_used(self):
        for value in ("hooks.example" + SECRET, "ftp://hooks.example" + SECRET):
            with self.subTest(value):
                run = self.run_host(None, "new=x", "stop=300", SONDE_WEBHOOK_URL=value)
                self.said(run, 'SONDE_WEBHOOK_URL=".*hooks.example\\.\\.\\." is ignored')
                self.said(run, 'the exporter "webhook" cannot be used')


class Proxies(WebhookCase):
    """The environment's, and past them what they are not for."""

    def test_through_a_proxy(self):
        with hostile.Collector(hostile.answer(200)) as proxy:
            run = self.run_host("http://hooks.example", "new=x", "stop=5000", http_proxy=proxy.url, no_proxy="")
        [request] = proxy.requests
        self.assertEqual((request.path, request.headers["host"]), ("http://hooks.example" + SECRET, "hooks.example"))
        self.assertEqual(run.accounts[0, 1]["exported"], 1)

    def test_past_a_proxy(self):
        for others in ({}, {"HTTP_PROXY": "http://127.0.0.1:1", "no_proxy": ""}):
            with self.subTest(others), hostile.Collector(hostile.answer(200)) as collector:
                run = self.run_host(collector.url, "new=x", "stop=5000",
                                    **(others or {"http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}))
            self.assertEqual(run.accounts[0, 1]["exported"], 1)


class Tls(WebhookCase):
    def test_a_receiver_of_an_own_authority(self):
        with tempfile.TemporaryDirectory() as folder:
            good = hostile.Certificates(folder, "good")
            with hostile.Collector(hostile.answer(200), tls=good.server_context()) as collector:
                run = self.run_host(collector.url, "new=x", "stop=5000", SONDE_WEBHOOK_CERTIFICATE=good.ca)
                self.assertEqual(run.accounts[0, 1]["exported"], 1)
                run = self.run_host(collector.url, "new=x", "stop=2000")
            self.assertIn("is not trusted: SONDE_WEBHOOK_CERTIFICATE names the authority to trust", run.diagnostics)
            self.assertEqual(len(self.messages(collector)), 1)

if __name__ == "__main__":
    unittest.main(verbosity=1)
