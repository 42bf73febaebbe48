# SPDX-License-Identifier: Apache-2.0
"""The example of a client that lives with a server that fails at random: its figures, and what its agent was told."""
import os
import re
import subprocess
import unittest

SECONDS, THREADS, SEED = 3, 8, 7
EXPORTERS = {"OTEL_TRACES_EXPORTER": "console", "OTEL_LOGS_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console"}


def figures(said, title):
    line = re.search(rf"^{title}: (.*)$", said, re.M).group(1)
    return {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", line)}


class Resilient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        command = [os.environ["SONDE_RESILIENT"], f"--seconds={SECONDS}", f"--threads={THREADS}", f"--seed={SEED}"]
        done = subprocess.run(command, env={**os.environ, **EXPORTERS}, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        if done.returncode != 0:
            raise AssertionError(f"it ended with {done.returncode}: {done.stderr}")
        cls.said = done.stdout + done.stderr
        cls.without, cls.with_policy = figures(cls.said, "without"), figures(cls.said, "with")

    def test_figures_add_up(self):
        for one in (self.without, self.with_policy):
            self.assertGreater(one["calls"], 50)
            self.assertEqual(one["calls"], one["answered"] + one["failed"])
            self.assertLessEqual(one["p50_ms"], one["p99_ms"])
            self.assertLessEqual(one["p99_ms"], one["longest_ms"])
        self.assertEqual(self.without["attempts"], self.without["calls"])
        self.assertEqual(self.without["fallback"] + self.without["openings"], 0)

    def test_server_fails_those_who_only_wait(self):
        self.assertGreater(self.without["failed"], 0.1 * self.without["calls"])
        # Some were never answered, and waited until the client's timeout.
        self.assertGreaterEqual(self.without["longest_ms"], 1000)

    def test_policy_answers_nearly_everybody(self):
        self.assertGreater(self.with_policy["answered"], 0.97 * self.with_policy["calls"])
        # The server or the memory: what it was, the server did not answer all of it.
        self.assertGreater(self.with_policy["fallback"], 0)
        self.assertLess(self.with_policy["fallback"], self.with_policy["answered"])

    def test_nobody_waits_past_the_deadline(self):
        # 300 ms, and what a busy machine adds to some.
        self.assertLess(self.with_policy["p99_ms"], 900)
        self.assertLess(self.with_policy["p99_ms"], self.without["longest_ms"])

    def test_breaker_spares_the_server(self):
        self.assertGreaterEqual(self.with_policy["openings"], 1)
        self.assertGreater(self.with_policy["rejected_breaker"], 0)
        # No call has more than its three attempts, and the budget holds the sum below.
        self.assertLess(self.with_policy["attempts"], 2 * self.with_policy["calls"])

    def test_every_part_tells_the_agent(self):
        self.assertIn("policy: fallback(deadline > retry > breaker > bulkhead > operation)", self.said)
        for event in ("sonde.retry.attempt", "sonde.breaker.state", "sonde.breaker.rejection", "sonde.policy.run"):
            self.assertRegex(self.said, rf"• {re.escape(event)} at ")
        self.assertRegex(self.said, r"WARN  attempt 1 failed: .*, retrying in [\d.]+ ms")
        self.assertRegex(self.said, r"sonde\.resilience\.duration \d+ in .*sonde\.resilience\.pattern=retry")


if __name__ == "__main__":
    unittest.main()
