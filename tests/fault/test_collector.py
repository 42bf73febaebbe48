# SPDX-License-Identifier: Apache-2.0
"""The whole agent against collectors that misbehave: deadlines kept, everything counted, the fault named."""
import collections
import os
import re
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import hostile_collector as hostile  # noqa: E402
from fault import FaultCase  # noqa: E402

DEADLINE_MS = 600
SLACK_S = 0.15 if os.environ.get("SONDE_SANITIZE", "none") == "none" and not os.environ.get("SONDE_WRAP") else 3.0


def names(collector):
    """How often each of the probe's span names is in the accepted bodies."""
    return collections.Counter(name.decode() for request in collector.requests
                               for name in re.findall(rb"(?:child|parent|span|last|in atexit)(?: \d+)?",
                                                      request.message_bytes()))


class CollectorCase(FaultCase):
    def otlp(self, endpoint, **more):
        return {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none",
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **more}

    def check_deadline(self, endpoint, fault, lost=True, times=1, **settings):
        """A flush and a stop with a deadline each; the fault is named once, or at most so many times."""
        facts = self.probe("deadline", DEADLINE_MS, **self.otlp(endpoint, **settings))
        self.assertEqual(facts.returncode, 0, facts.stderr)
        flushed, flush_seconds = facts.one("flush")
        stopped, stop_seconds = facts.one("stop")
        self.assertLess(float(flush_seconds), DEADLINE_MS / 1000 + SLACK_S)
        self.assertLess(float(stop_seconds), DEADLINE_MS / 1000 + SLACK_S)
        self.assert_balanced(facts)
        captured, exported, queued = [account[1:4] for account in facts.accounts() if account[0] == 0][0]
        self.assertEqual((captured, queued), (100, 0))
        self.assertEqual(exported, 0 if lost else 100, facts.stderr)
        if fault:
            said = [line for line in facts.stderr.splitlines() if re.search(fault, line)]
            self.assertIn(len(said), range(1, times + 1), f"{fault!r} in {facts.stderr!r}")
        return facts


class Faults(CollectorCase):
    def test_nothing_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.check_deadline(f"http://127.0.0.1:{port}", "nothing listens")

    def test_a_name_that_does_not_exist(self):
        self.check_deadline("http://no-such-host.invalid:4318", "no-such-host.invalid")

    def test_a_connection_that_is_never_accepted(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            self.check_deadline(f"http://127.0.0.1:{address[1]}", None)
            for filler in fillers:
                filler.close()

    def against(self, behave, fault, lost=True, times=1, **settings):
        with hostile.Collector(behave) as collector:
            self.check_deadline(collector.url, fault, lost, times, **settings)
            return collector

    def test_hangs(self):
        for behave in (hostile.hang_before_answer, hostile.hang_at_once, hostile.hang_in_answer, hostile.drip):
            with self.subTest(behave.__name__):
                self.against(behave, None)

    def test_hang_in_the_handshake(self):
        with hostile.Collector(hostile.hang_at_once) as collector:
            self.check_deadline(collector.url.replace("http:", "https:"), None)

    def test_broken_connections(self):
        for behave in (hostile.reset_after_request, hostile.reset_at_once, hostile.close_without_answer,
                       hostile.close_in_answer, hostile.garbage):
            with self.subTest(behave.__name__):
                # Flush and stop make an attempt each, and a reset may meet the one earlier than the other.
                self.against(behave, "127.0.0.1", times=2)

    def test_refusals(self):
        for status, fault in ((400, "400"), (401, "401"), (404, "404"), (413, "413"), (500, "500")):
            with self.subTest(status):
                collector = self.against(hostile.answer(status), fault)
                self.assertEqual(len(collector.requests), 1, "a refusal was tried again")

    def test_try_again_later(self):
        for status in (429, 503):
            with self.subTest(status):
                self.against(hostile.answer(status, headers={"Retry-After": "30"}), str(status))

    def test_a_redirect(self):
        self.against(hostile.answer(302, headers={"Location": "http://127.0.0.1:1/"}), "redirects to")

    def test_one_refusal_then_fine(self):
        with hostile.Collector(hostile.in_turn(hostile.response(503), *[hostile.response(200)] * 9)) as collector:
            self.check_deadline(collector.url, "503", lost=False, SONDE_RETRY_INITIAL=10)
            counts = names(collector)
            self.assertEqual(counts["span 99"], 2, "sent, refused for now, sent again")

    def test_a_hanging_collector_delays_no_other(self):
        with hostile.Collector(hostile.hang_before_answer) as collector:
            facts = self.probe("deadline", DEADLINE_MS,
                               **self.otlp(collector.url, OTEL_TRACES_EXPORTER="otlp,file"))
            self.assertEqual(facts.returncode, 0, facts.stderr)
            self.assert_balanced(facts)
            self.assertEqual(sum(self.names().values()), 100, "the file has all of it")


if __name__ == "__main__":
    unittest.main()
