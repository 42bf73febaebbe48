# SPDX-License-Identifier: Apache-2.0
"""Hosts with little memory, no threads, no room for the box; floods of threads and signals."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import hostile_collector as hostile  # noqa: E402
from host import IS_PLAIN, WRAP, HostCase, said  # noqa: E402

IS_ROOT = os.geteuid() == 0


def can_mount():
    return IS_ROOT and os.system("unshare -m mount -t tmpfs tmpfs /dev/shm 2>/dev/null") == 0


class Memory(HostCase):
    @unittest.skipUnless(IS_PLAIN, "sanitizers reserve terabytes")
    def test_little_address_space(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            for settings in ({}, self.otlp(collector.url)):
                for kib in (0, 300, 1000, 3500, 4500, 8000, 12500, 14000, 30000):
                    for mode in ("little-memory-at-start", "little-memory-while-running"):
                        with self.subTest(mode=mode, kib=kib, exporter="otlp" if settings else "file"):
                            facts = self.run_host(mode, kib, timeout=30, **settings)
                            self.assert_balanced(facts)
                            if facts.all("again"):
                                self.assertTrue(facts.stderr, "a start that failed said nothing")

    def test_a_budget_holds_while_the_collector_hangs(self):
        with hostile.Collector(hostile.hang_before_answer) as collector:
            facts = self.run_host("hang-and-err", 40000 if IS_PLAIN else 10000,
                                  **self.otlp(collector.url, SONDE_MEMORY_LIMIT=1 << 20, MALLOC_PERTURB_=0))
        self.assert_balanced(facts)
        if IS_PLAIN:
            self.assertLess(int(facts.one("late")[0]) - int(facts.one("early")[0]), 1024)

    @unittest.skipUnless(IS_ROOT and IS_PLAIN, "needs root to become somebody else")
    def test_no_threads(self):
        os.chmod(self.folder, 0o777)
        host = self.host("no-threads", SONDE_BOX_DIRECTORY="")
        host.until_ready()
        self.assertEqual(len(host.threads()), 1)
        host.go_on()
        facts = host.facts()
        self.assertEqual(facts.returncode, 0, facts.stderr)
        self.assertLess(int(facts.all("start")[0][0]), 0)
        self.assertTrue(said(facts, "thread"), f"it did not say why: {facts.stderr!r}")
        self.assertEqual(facts.all("start")[1][0], "0")
        self.assertEqual(self.names()["with a thread"], 1)
        self.assertLess(int(facts.one("size_after")[0]) - int(facts.one("size_before")[0]), 300)


class BoxFolder(HostCase):
    def check_refused(self, folder, why):
        """Said once, with the folder and the reason; everything is captured all the same."""
        facts = self.run_host("stop-in-atexit", SONDE_BOX_DIRECTORY=folder)
        lines = said(facts, folder)
        self.assertEqual(len(lines), 1, facts.stderr)
        self.assertIn(why, lines[0])
        self.assertEqual(self.captured(facts), (1, 1, 0, 0))

    def folder_of(self, name, mode=0o700):
        path = os.path.join(self.box_directory(), name)
        os.mkdir(path)
        os.chmod(path, mode)
        return path

    def test_missing(self):
        self.check_refused(os.path.join(self.box_directory(), "not", "there"), "not there")

    def test_a_file(self):
        path = os.path.join(self.box_directory(), "file")
        open(path, "w").close()
        self.check_refused(path, "not a directory")

    def test_a_link(self):
        path = os.path.join(self.box_directory(), "link")
        os.symlink(self.folder_of("real"), path)
        self.check_refused(path, "a link")

    def test_others_may_write(self):
        self.check_refused(self.folder_of("open", 0o777), "others may write")

    def test_not_on_tmpfs(self):
        self.check_refused("/usr/lib", "")

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_somebody_elses(self):
        path = self.folder_of("theirs")
        os.chown(path, 54321, 54321)
        self.check_refused(path, "another user")

    def in_mount(self, options, mode, *arguments, **settings):
        """In a mount namespace of its own, where the only tmpfs is made with these options."""
        script = f"mount -t tmpfs -o {options} tmpfs /dev/shm && exec \"$@\""
        return self.run_host(mode, *arguments, wrapped=("unshare", "-m", "sh", "-c", script, "sh"),
                             SONDE_BOX_DIRECTORY="/dev/shm/boxes", XDG_RUNTIME_DIR="", **settings)

    @unittest.skipUnless(can_mount(), "needs to mount")
    def test_a_full_tmpfs_and_one_to_read_only(self):
        for options, why in (("size=256k", "no space"), ("ro", "not there"), ("nr_inodes=2", "no space")):
            with self.subTest(options):
                facts = self.in_mount(options, "stop-in-atexit")
                self.assertEqual(len(said(facts, why)), 1, facts.stderr)
                self.assertEqual(self.captured(facts), (1, 1, 0, 0))

    @unittest.skipUnless(can_mount(), "needs to mount")
    def test_a_tmpfs_that_runs_full_under_the_box(self):
        script = "mount -t tmpfs -o size=5m,mode=700 tmpfs /dev/shm && exec \"$@\""
        command = ["unshare", "-m", "sh", "-c", script, "sh", *self.command("flood", 5)]
        host = self.host_of(command, SONDE_BOX_DIRECTORY="/dev/shm/boxes")
        host.until_ready()
        self.assertTrue(any(".box" in path for path in host.boxes()), host.boxes())
        root = f"/proc/{host.pid}/root/dev/shm"
        with self.assertRaises(OSError), open(root + "/filler", "wb", buffering=0) as filler:
            for _ in range(10000):
                filler.write(b"x" * 4096)
        host.go_on()
        facts = host.facts()
        self.assertEqual(facts.returncode, 0, facts.stderr)
        self.assert_balanced(facts)

    def host_of(self, command, **environment):
        self.command = lambda *unused: command
        return self.host(**environment)


class Crowd(HostCase):
    def run_host(self, *arguments, **environment):
        # Here every error is to go all the way.
        return super().run_host(*arguments, SONDE_ERROR_LIMIT="off", **environment)

    def check_exact(self, facts):
        """What was made is what was captured, in whatever way it ended."""
        spans, logs = map(int, facts.one("made"))
        self.assert_balanced(facts)
        self.assertEqual(self.captured(facts)[0], spans)
        if facts.all("made"):
            self.assertEqual(self.captured(facts, 1)[0], logs)

    def test_two_thousand_threads_on_small_stacks(self):
        self.check_exact(self.run_host("many-threads", 2000 if IS_PLAIN else 200))

    @unittest.skipUnless(IS_PLAIN, "frames are larger under sanitizers")
    def test_everything_on_small_stacks(self):
        facts = self.run_host("small-stacks", 50)
        self.assert_balanced(facts)
        self.assertEqual(self.captured(facts)[0], 2000)

    @unittest.skipUnless(IS_PLAIN, "frames are larger under sanitizers")
    def test_alternate_stacks(self):
        self.check_exact(self.run_host("alternate-stacks", 2000))

    @unittest.skipUnless(not WRAP, "its signals leave valgrind no time for anything else")
    def test_a_handler_that_records_at_10_khz(self):
        self.check_exact(self.run_host("timer-signals", 15))


if __name__ == "__main__":
    unittest.main()
