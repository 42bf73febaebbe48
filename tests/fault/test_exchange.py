# SPDX-License-Identifier: Apache-2.0
"""Certificates, and forks and exits while the background thread is inside a TLS exchange."""
import os
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_collector import SLACK_S, CollectorCase, hostile, names  # noqa: E402


def slow_answer(connection):
    """Answers, each time after 5 ms, in which the other side may fork or exit."""
    while True:
        connection.read_request()
        connection.collector.stopping.wait(0.005)
        connection.send(hostile.response(200))


class Tls(CollectorCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates_folder = tempfile.TemporaryDirectory()
        cls.good = hostile.Certificates(cls.certificates_folder.name, "good")
        cls.other = hostile.Certificates(cls.certificates_folder.name, "other")

    @classmethod
    def tearDownClass(cls):
        cls.certificates_folder.cleanup()

    def trusted(self):
        return {"OTEL_EXPORTER_OTLP_CERTIFICATE": self.good.ca, "OTEL_BSP_SCHEDULE_DELAY": "1"}

    def test_an_unknown_authority_is_named(self):
        with hostile.Collector(hostile.answer(200), tls=self.other.server_context()) as collector:
            self.check_deadline(collector.url, "certificate", **self.trusted())

    def test_forks_in_the_middle_of_exchanges(self):
        """The parent is inside a TLS exchange at nearly every fork; its connection survives all of them."""
        with hostile.Collector(slow_answer, tls=self.good.server_context(), backlog=64) as collector:
            facts = self.probe("fork-while-sending", 60, **self.otlp(collector.url, **self.trusted()))
            self.assertEqual(facts.returncode, 0, facts.stderr)
            self.assertEqual(facts.all("child_failed"), [], facts.stderr)
            self.assert_balanced(facts)
            counts = names(collector)
            for i in range(60):
                self.assertEqual(counts[f"child {i}"], 1, f"child {i}")
            for i in range(60 * 20):
                self.assertEqual(counts[f"parent {i}"], 1, f"parent {i}")
            self.assertLessEqual(collector.connections, 61, "the parent's connection was lost on the way")

    def test_exit_in_the_middle_of_an_exchange(self):
        for behave in (slow_answer, hostile.hang_before_answer, hostile.hang_at_once):
            with self.subTest(behave.__name__), \
                    hostile.Collector(behave, tls=self.good.server_context()) as collector:
                started = time.monotonic()
                facts = self.probe("leave", **self.otlp(collector.url, **self.trusted()))
                self.assertEqual(facts.returncode, 0, facts.stderr)
                self.assertLess(time.monotonic() - started, 2 + 2 * SLACK_S)
                if behave is slow_answer:
                    self.assertEqual(names(collector)["in atexit"], 1)


if __name__ == "__main__":
    unittest.main()
