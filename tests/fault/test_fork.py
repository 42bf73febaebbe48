# SPDX-License-Identifier: Apache-2.0
"""Forked, spawned and daemonized processes: nothing doubled, nothing uncounted, no deadlock."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from fault import FaultCase  # noqa: E402

FORKS = int(os.environ.get("SONDE_FORKS", "1000"))


class Fork(FaultCase):
    def test_many_children_of_a_threaded_parent(self):
        facts = self.probe("fork-many", FORKS, timeout=300)
        self.assertEqual(facts.returncode, 0, facts.stderr)
        self.assertEqual(facts.all("child_failed"), [])
        names = self.names()
        for i in range(FORKS):
            self.assertEqual(names[f"child {i}"], 1, f"child {i}")
            self.assertEqual(names[f"parent {i}"], 1, f"parent {i}")
        self.assert_balanced(facts)
        lost = sum(account[4] for account in facts.accounts() if account[0] == 0)
        self.assertEqual(names["background"] + lost, int(facts.one("background")[0]))
        ids = [span["spanId"] for span in self.spans()]
        self.assertEqual(len(ids), len(set(ids)), "a span id came twice")

    def test_prefork_server(self):
        facts = self.probe("prefork", 8)
        self.assertEqual(facts.all("child_failed"), [])
        names = self.names()
        self.assertEqual(names["master"], 1)
        for worker in range(8):
            for i in range(200):
                self.assertEqual(names[f"worker {worker * 1000 + i}"], 1)
        self.assert_balanced(facts)
        pids = {next(a["value"]["intValue"] for a in span["attributes"] if a["key"] == "pid") for span in self.spans()}
        self.assertEqual(len(pids), 9)

    def test_daemon(self):
        facts = self.probe("daemon", 0, self.account_path())
        deadline = time.monotonic() + 10
        while not self.names()["after daemon"] and time.monotonic() < deadline:
            time.sleep(0.02)
        names = self.names()
        self.assertEqual(names["after daemon"], 1, facts.stderr)
        self.wait_for_end(self.account_path())
        with open(self.account_path()) as account:
            captured, exported, queued, lost = map(int, account.read().split())
        self.assertEqual((captured, exported, queued), (2, 1, 0))
        self.assertEqual(names["before daemon"] + lost, 1, "what came before daemon() is neither sent nor counted")

    def account_path(self):
        return os.path.join(self.folder, "account")

    def wait_for_end(self, path):
        deadline = time.monotonic() + 10
        while not (os.path.exists(path) and os.path.getsize(path)) and time.monotonic() < deadline:
            time.sleep(0.02)

    def test_raw_fork(self):
        facts = self.probe("raw-fork", 100)
        self.assertEqual(facts.all("child_failed"), [])
        names = self.names()
        for i in range(100):
            self.assertEqual(names[f"child {i}"], 1)
            self.assertEqual(names[f"parent {i}"], 1)
        self.assert_balanced(facts)

    def test_shared_memory_children(self):
        facts = self.probe("share-memory")
        self.assertEqual(dict(self.names()), {"before": 1, "in vfork": 1, "after": 1}, facts.stderr)
        self.assert_balanced(facts)

    def test_boxes_of_dead_children_are_bounded(self):
        facts = self.probe("leave-boxes", 40)
        self.assertEqual(self.names()["parent"], 1, facts.stderr)
        self.assertLessEqual(len(os.listdir(self.box_directory())), 6)


class Leave(FaultCase):
    def test_capturing_while_the_process_exits(self):
        for _ in range(20):
            facts = self.probe("leave")
            self.assertEqual(facts.returncode, 0, facts.stderr)
        names = self.names()
        self.assertEqual(names["last"], 20)
        self.assertEqual(names["in atexit"], 20)
        self.assertEqual(os.listdir(self.box_directory()), [])


if __name__ == "__main__":
    unittest.main()
