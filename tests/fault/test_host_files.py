# SPDX-License-Identifier: Apache-2.0
"""Hosts that close our descriptors, have none left, or none of the standard ones; SIGPIPE; masks."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import hostile_collector as hostile  # noqa: E402
from host import CANNOT_BE_BLOCKED, FAULTS, IS_PLAIN, HostCase, blocked, said  # noqa: E402


def slow_answer(connection):
    while True:
        connection.read_request()
        connection.collector.stopping.wait(0.02)
        connection.send(hostile.response(200))


def close_in_request(connection):
    """Reads the beginning of a body and resets: the sender is still writing."""
    connection.sock.recv(4000)
    connection.reset()


class Signals(HostCase):
    def test_a_collector_that_closes_while_we_send(self):
        with hostile.Collector(close_in_request) as collector:
            facts = self.run_host("send-much", 4, **self.otlp(collector.url, OTEL_EXPORTER_OTLP_COMPRESSION="none"))
        self.assert_balanced(facts)
        self.assertGreater(collector.connections, 2, "nothing was sent")

    def test_the_mask_of_every_thread_of_ours(self):
        """The worker's, and the thread's that it looks names up in."""
        host = self.host("wait-and-stop", 300, **self.otlp("http://a-name-to-look-up.invalid:4318",
                                                           **self.slow_names()))
        host.until_ready()
        ours = [thread for thread in host.threads() if int(thread["Pid"]) != host.pid]
        self.assertIn("sonde", [thread["Name"] for thread in ours])
        self.assertEqual(len(ours), 2 if self.slow_names() else 1)
        for thread in ours:
            self.assertEqual(blocked(thread), set(range(1, 65)) - FAULTS - CANNOT_BE_BLOCKED, thread["Name"])
        host.go_on()
        facts = host.facts()
        self.assertEqual(facts.returncode, 0, facts.stderr)
        self.assertLess(float(facts.one("stop")[1]), 0.3 + (0.15 if IS_PLAIN else 3))
        self.assert_balanced(facts)

    @staticmethod
    def slow_names():
        library = os.environ.get("SONDE_SLOW_NAMES", "")
        return {"LD_PRELOAD": library} if library and IS_PLAIN else {}


class Names(Signals):
    test_a_collector_that_closes_while_we_send = test_the_mask_of_every_thread_of_ours = None

    @unittest.skipUnless(IS_PLAIN, "preloading is not for sanitizers")
    def test_a_look_up_that_hangs_holds_up_neither_stop_nor_exit(self):
        self.assertTrue(self.slow_names())
        settings = self.otlp("http://a-name-to-look-up.invalid:4318", **self.slow_names())
        facts = self.run_host("exit-while-sending", 10, timeout=10, **settings)
        self.assertEqual(facts.returncode, 0)


class Closed(HostCase):
    def check_closed(self, endpoint, collector):
        facts = self.run_host("close-all", 24, **self.otlp(endpoint))
        self.assert_balanced(facts)
        self.assertLess(float(facts.one("cpu")[0]), 0.15 if IS_PLAIN else 0.5, "a busy loop")
        self.assertEqual(self.captured(facts)[0], 50)
        self.assertEqual(self.captured(facts)[2], 0, facts.text)
        bodies = b"".join(request.message_bytes() for request in collector.requests)
        self.assertTrue(b"last" in bodies, "it did not go on: " + facts.stderr)

    def test_all_closed_while_delivering(self):
        for behave in (slow_answer, hostile.answer(200)):
            with self.subTest(behave.__name__), hostile.Collector(behave) as collector:
                self.check_closed(collector.url, collector)

    def test_all_closed_while_a_name_is_looked_up(self):
        with hostile.Collector(slow_answer) as collector:
            self.check_closed(collector.url.replace("127.0.0.1", "localhost"), collector)

    def test_all_closed_under_the_file_exporter(self):
        facts = self.run_host("close-all", 24)
        self.assert_balanced(facts)
        names = self.names()
        for i in range(24):
            self.assertEqual((names[f"span {i}"], names[f"after {i}"]), (1, 1))

    def test_all_closed_in_the_middle_of_hangs(self):
        with hostile.Collector(hostile.hang_before_answer) as collector:
            facts = self.run_host("close-all", 12, **self.otlp(collector.url))
        self.assert_balanced(facts)
        self.assertLess(float(facts.one("cpu")[0]), 0.2 if IS_PLAIN else 0.7, "a busy loop")


class Exhausted(HostCase):
    def check_goes_on(self, facts, spans):
        self.assert_balanced(facts)
        self.assertLess(float(facts.one("cpu")[0]), 0.15 if IS_PLAIN else 0.5, "a busy loop")
        self.assertEqual(self.captured(facts), (spans, spans, 0, 0), facts.stderr)

    def test_none_at_the_start(self):
        for n in (3, 4, 5, 6, 8, 10):
            with self.subTest(n), hostile.Collector(hostile.answer(200)) as collector:
                facts = self.run_host("no-files-at-start", n, **self.otlp(collector.url))
                if int(facts.one("start")[0]) < 0:
                    self.assertTrue(facts.stderr, "it did not say why")
                else:
                    self.check_goes_on(facts, 51)

    def test_none_at_the_start_for_the_file_exporter(self):
        facts = self.run_host("no-files-at-start", 3)
        self.assertTrue(said(facts, "no files can be written there"), facts.stderr)

    def test_none_while_running(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            self.check_goes_on(self.run_host("no-files-while-running", **self.otlp(collector.url)), 51)
        self.check_goes_on(self.run_host("no-files-while-running"), 51)

    def check_no_standard_files(self, **settings):
        facts = self.run_host("no-standard-files", **settings)
        self.assertEqual([target for _, *target in facts.all("standard")], [[], [], []],
                         "one of ours has a standard number")
        self.assertEqual(facts.one("started"), ["0"])

    def test_no_standard_files(self):
        for endpoint in ("127.0.0.1", "localhost"):
            with self.subTest(endpoint), hostile.Collector(hostile.answer(200)) as collector:
                self.check_no_standard_files(**self.otlp(collector.url.replace("127.0.0.1", endpoint)))
                self.assertNotIn(b"printed by", b"".join(r.message_bytes() for r in collector.requests))

    def test_no_standard_files_and_the_file_exporter(self):
        self.check_no_standard_files()
        self.assertEqual(sum(self.names().values()), 20)
        with open(self.path + ".traces.jsonl") as lines:
            self.assertNotIn("by the host", lines.read())


if __name__ == "__main__":
    unittest.main()
