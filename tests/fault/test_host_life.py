# SPDX-License-Identifier: Apache-2.0
"""Odd ways to begin and end, and a world that changes around the agent."""
import json
import os
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import hostile_collector as hostile  # noqa: E402
from host import IS_PLAIN, HostCase  # noqa: E402

IS_ROOT = os.geteuid() == 0
SLACK_S = 0.3 if IS_PLAIN else 5


class End(HostCase):
    def test_many_stop_at_once_while_others_record(self):
        for _ in range(5):
            facts = self.run_host("stop-from-many", 8)
            self.assert_balanced(facts)
            if IS_PLAIN:  # Else the deadline may be over before all is sent.
                self.assertEqual(self.captured(facts)[2], 0)

    def test_stop_in_exit_handlers(self):
        for order in (0, 1):
            facts = self.run_host("stop-in-atexit", order)
            self.assertEqual(self.captured(facts), (1, 1, 0, 0))
            self.assertEqual(os.listdir(self.box_directory()), [])

    def test_exit_while_the_collector_hangs(self):
        """The exit handler's deadline is 2 s."""
        with hostile.Collector(hostile.hang_before_answer) as collector:
            facts = self.run_host("exit-while-sending", 100, **self.otlp(collector.url))
            self.assertLess(time.clock_gettime(time.CLOCK_MONOTONIC) - float(facts.one("exit")[0]), 2 + SLACK_S)

    def test_exit_in_a_signal_handler(self):
        for _ in range(3):
            done = subprocess.run(self.command("exit-in-signal"), env=self.environment(), timeout=60,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True)
            self.assertEqual(done.returncode, 5, done.stderr)

    def test_main_leaves_before_the_process(self):
        facts = self.run_host("leave-main")
        self.assertEqual(self.captured(facts), (11, 11, 0, 0))
        self.assertEqual(os.listdir(self.box_directory()), [])

    def check_lives(self, mode, n, growth_kib, **settings):
        """One arena: else the C library keeps some memory for each of the threads that were. Nor may it fill it."""
        facts = self.run_host(mode, n, MALLOC_ARENA_MAX=1, MALLOC_PERTURB_=0, **settings)
        early, late = [list(map(int, facts.one(key))) for key in ("early", "late")]
        self.assertEqual(early[1:], late[1:], "descriptors or threads stay behind")
        if IS_PLAIN:
            self.assertLess(late[0] - early[0], growth_kib, "memory stays behind")
        self.assertEqual(os.listdir(self.box_directory()), [])

    def test_two_hundred_lives(self):
        self.check_lives("start-and-stop", 200, 256)

    def test_many_lives_with_connections(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            self.check_lives("start-and-stop", 100, 256, **self.otlp(collector.url))

    def test_many_lives_under_load(self):
        self.check_lives("start-and-stop-under-load", 100, 2048, OTEL_TRACES_EXPORTER="null",
                         OTEL_LOGS_EXPORTER="null")


class World(HostCase):
    def check_before_and_after(self, facts, collector):
        self.assert_balanced(facts)
        bodies = b"".join(request.message_bytes() for request in collector.requests)
        for name in (b"before", b"after"):
            self.assertEqual(bodies.count(b"\x2a" + bytes([len(name)]) + name), 1, facts.stderr)
        self.assertEqual(self.captured(facts)[1], self.captured(facts)[0], facts.text)

    @unittest.skipUnless(IS_ROOT and IS_PLAIN, "needs root, and leaks are looked for by /proc")
    def test_another_user_and_another_root(self):
        for mode in ("set-user", "change-root"):
            with self.subTest(mode), hostile.Collector(hostile.answer(200)) as collector:
                self.check_before_and_after(self.run_host(mode, **self.otlp(collector.url)), collector)

    def test_another_folder(self):
        """A file's name that is not absolute means the folder where the agent started."""
        for settings in ({}, {"SONDE_FILE_PATH": "relative"}):
            with self.subTest(**settings):
                facts = self.run_host("change-folder", wrapped=("env", "-C", self.folder), **settings)
                self.assertEqual(self.captured(facts), (2, 2, 0, 0))
        self.assertTrue(os.path.exists(os.path.join(self.folder, "relative.traces.jsonl")))

    def test_no_mask(self):
        """The box is nobody else's whatever the host's umask says."""
        host = self.host("no-mask")
        host.until_ready()
        self.assertTrue(os.listdir(self.box_directory()))
        for name in os.listdir(self.box_directory()):
            self.assertEqual(os.stat(os.path.join(self.box_directory(), name)).st_mode & 0o777, 0o600)
        host.go_on()
        self.assertEqual(host.facts().returncode, 0)
        self.assertEqual(os.stat(self.path + ".traces.jsonl").st_mode & 0o007, 0, "others may read what was captured")

    def test_an_environment_that_others_change(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            facts = self.run_host("set-environment", 3000, **self.otlp(collector.url))
        self.assert_balanced(facts)
        self.assertEqual(self.captured(facts)[2], 0)

    @unittest.skipUnless(IS_PLAIN, "the C library leaks a folder's name")
    def test_a_decimal_comma(self):
        if not shutil.which("localedef") or not os.path.exists("/usr/share/i18n/locales/de_DE"):
            self.skipTest("no locale with a decimal comma can be made")
        subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", os.path.join(self.folder, "de_DE.UTF-8")],
                       check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        facts = self.run_host("decimal-comma", LOCPATH=self.folder, LC_ALL="de_DE.UTF-8")
        self.assertEqual(facts.one("point"), ["1,5"])
        values = {a["key"]: a["value"]["doubleValue"] for span in self.spans() for a in span.get("attributes", [])
                  if "doubleValue" in a["value"]}
        self.assertEqual((values["half"], values["tiny"]), (0.5, 1.5e-300))
        with open(self.path + ".logs.jsonl") as lines:
            bodies = [record["body"]["stringValue"] for line in lines for resource in json.loads(line)["resourceLogs"]
                      for record in resource["scopeLogs"][0]["logRecords"]]
        self.assertRegex("\n".join(bodies), r"took 0\.0\d+s")

    @unittest.skipUnless(os.environ.get("SONDE_SANITIZE", "none") == "none", "it forks a threaded process")
    def test_children_that_nobody_waits_for(self):
        facts = self.run_host("children-ignored", 20)
        self.assertEqual([self.names()[f"child {i}"] for i in range(20)], [1] * 20)
        self.assertEqual(self.captured(facts), (2, 2, 0, 0))

    @unittest.skipUnless(IS_PLAIN, "sanitizers take the fault for theirs")
    def test_a_host_that_mends_its_own_faults(self):
        facts = self.run_host("own-fault-handler", 200)
        self.assertEqual(facts.one("faults"), ["200"])
        self.assertEqual(self.captured(facts), (400, 400, 0, 0))


if __name__ == "__main__":
    unittest.main()
