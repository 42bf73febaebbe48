# SPDX-License-Identifier: Apache-2.0
"""A plugin that uses sonde comes and goes 100 times while threads record: nothing piles up."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from fault import FaultCase, Facts  # noqa: E402


class Plugin(FaultCase):
    def test_a_hundred_rounds(self):
        done = subprocess.run([os.environ["SONDE_PLUGIN_HOST"], os.environ["SONDE_PLUGIN"], "100"],
                              env=self.environment(OTEL_TRACES_EXPORTER="null", OTEL_LOGS_EXPORTER="file"),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
        facts = Facts(done.stdout, done.returncode, done.stderr)
        self.assertEqual(facts.returncode, 0, facts.stderr)
        self.assertEqual(facts.all("round_failed"), [], facts.stderr)
        second, last = facts.all("after")
        if os.environ["SONDE_SANITIZE"] != "none":  # Sanitizers make mappings of their own as they go.
            second, last = second[:3], last[:3]
        self.assertEqual(second[1:], last[1:], "threads or mappings piled up")
        self.assertEqual(os.listdir(self.box_directory()), [])


if __name__ == "__main__":
    unittest.main()
