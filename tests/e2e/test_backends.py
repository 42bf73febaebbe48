#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real Jaeger and the real Collector: they start, pass data on, stop, and leave nothing.

Every other test with a backend stands on this. The first run builds them, which takes minutes.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEPLOY = os.path.join(ROOT, "deploy")
sys.path.insert(0, DEPLOY)

import backends  # noqa: E402  (it lies beside the configuration files)


def trace_request(trace_id, name, service="backends-test"):
    """An export request with one span, in OTLP/JSON."""
    end = time.time_ns()
    span = {
        "traceId": trace_id, "spanId": os.urandom(8).hex(), "name": name, "kind": 2,
        "startTimeUnixNano": str(end - 5_000_000), "endTimeUnixNano": str(end),
        "status": {"code": 2, "message": "disk full"},
    }
    return {"resourceSpans": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"scope": {"name": "by hand"}, "spans": [span]}],
    }]}


def log_request(text):
    record = {"timeUnixNano": str(time.time_ns()), "severityNumber": 17,
              "body": {"stringValue": text}}
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


def send_trace(b, name):
    trace_id = os.urandom(16).hex()
    answer = backends.post_json(b.otlp_http + "/v1/traces", trace_request(trace_id, name))
    assert not answer.get("partialSuccess"), answer
    return trace_id


def lives(pid):
    """Whether the process runs; a zombie, which nobody may have collected here, does not."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


class Running(unittest.TestCase):
    """What the two do while they run. They are shared: each test leaves both running."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        # Settings of the caller that must not reach the backends, nor the requests to them.
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = os.environ["http_proxy"] = "http://127.0.0.1:9"
        cls.addClassCleanup(os.environ.pop, "http_proxy")
        cls.addClassCleanup(os.environ.pop, "OTEL_EXPORTER_OTLP_ENDPOINT")
        cls.b = backends.Backends(os.path.join(folder.name, "new"))
        cls.b.start()
        cls.addClassCleanup(cls.b.stop)

    def names_in_file(self):
        return [span["name"] for span in self.b.spans()]

    def test_a_trace_reaches_jaeger_and_the_file(self):
        trace_id = send_trace(self.b, "GET /by-hand")
        trace = self.b.wait_for_trace(trace_id, 10)
        self.assertEqual(trace["spans"][0]["operationName"], "GET /by-hand")
        tags = {tag["key"]: tag["value"] for tag in trace["spans"][0]["tags"]}
        self.assertIs(tags["error"], True)
        self.assertEqual(tags["otel.status_description"], "disk full")
        self.assertEqual(trace["processes"]["p1"]["serviceName"], "backends-test")
        span = [span for span in self.b.spans() if span["traceId"] == trace_id][0]
        self.assertEqual(span["scope"]["name"], "by hand")
        self.assertEqual(span["resource"]["attributes"][0]["key"], "service.name")

    def test_accepted_means_stored(self):
        trace_id = send_trace(self.b, "accepted")
        self.b.collector.kill()
        self.assertIsNotNone(self.b.jaeger_trace(trace_id))
        self.assertIn(trace_id, [span["traceId"] for span in self.b.spans()])
        self.b.collector.start()

    def test_a_log_record_reaches_the_file(self):
        backends.post_json(self.b.otlp_http + "/v1/logs", log_request("out of paper"))
        self.assertIn({"stringValue": "out of paper"},
                      [record["body"] for record in self.b.log_records()])

    def test_every_address_answers_as_it_should(self):
        for url in (self.b.otlp_grpc, self.b.jaeger_otlp_grpc):
            host, port = url[len("http://"):].split(":")
            with socket.create_connection((host, int(port)), 5) as connection:
                # The preface of HTTP/2 with empty settings; the answer is a settings frame.
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0]) +
                                   bytes(4))
                self.assertEqual(connection.recv(4)[3:], b"\x04")
        trace_id = os.urandom(16).hex()
        backends.post_json(self.b.jaeger_otlp_http + "/v1/traces",
                           trace_request(trace_id, "past the Collector"))
        self.b.wait_for_trace(trace_id, 10)

    def test_the_collector_stops_and_starts_again_on_the_same_ports(self):
        before, pid = send_trace(self.b, "before"), self.b.collector.pid
        self.b.collector.stop()
        self.assertFalse(lives(pid))
        self.assertIsNone(self.b.collector.pid)
        self.b.collector.stop()
        with self.assertRaises(OSError):
            send_trace(self.b, "while stopped")
        self.assertIsNotNone(self.b.jaeger_trace(before))
        self.b.collector.start()
        self.b.wait_for_trace(send_trace(self.b, "after"), 10)
        self.assertTrue({"before", "after"} <= set(self.names_in_file()))

    def test_a_line_that_a_kill_cut_off_is_dropped(self):
        send_trace(self.b, "whole")
        self.b.collector.kill()
        with open(self.b.traces_file, "a") as file:
            file.write('{"resourceSpans":[{"resource"')
        self.assertIn("whole", self.names_in_file())
        self.b.collector.start()
        send_trace(self.b, "whole again")
        self.assertTrue({"whole", "whole again"} <= set(self.names_in_file()))

    def test_a_paused_collector_accepts_and_does_not_answer(self):
        self.b.collector.pause()
        self.assertTrue(self.b.collector.is_running())
        with self.assertRaises(OSError):
            backends.post_json(self.b.otlp_http + "/v1/traces", {}, timeout=0.3)
        self.b.collector.resume()
        self.b.wait_for_trace(send_trace(self.b, "resumed"), 10)

    def test_a_paused_collector_can_be_stopped(self):
        self.b.collector.pause()
        self.b.collector.stop()
        self.assertFalse(self.b.collector.is_running())
        with self.assertRaises(backends.BackendError):
            self.b.collector.pause()
        self.b.collector.start()

    def test_started_from_a_thread_it_outlives_the_thread(self):
        self.b.collector.stop()
        thread = threading.Thread(target=self.b.collector.start)
        thread.start()
        thread.join()
        self.b.wait_for_trace(send_trace(self.b, "from a thread"), 10)

    def test_a_taken_port_is_reported(self):
        self.b.collector.stop()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", int(self.b.otlp_grpc.rpartition(":")[2])))
            other.listen()
            with self.assertRaises(backends.PortTaken):
                self.b.collector.start()
        self.b.collector.start()


class Lifecycle(unittest.TestCase):
    """How they come and go. Each test has its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def up(self, *arguments):
        """`deploy/backends up` on free ports, and the pids and addresses it printed."""
        process = subprocess.Popen(
            [os.path.join(DEPLOY, "backends"), "up", "--free-ports", "--folder", self.folder,
             *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, universal_newlines=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        printed = []
        for line in process.stdout:
            if line == "ready\n":
                break
            printed.append(line)
        text = "".join(printed)
        pids = [int(pid) for pid in re.findall(r"(?:collector|jaeger) (\d+)", text)]
        self.assertEqual(len(pids), 2, text)
        return process, pids

    def assert_gone(self, pids):
        backends.wait_until("the end of %s" % pids, 10, lambda: not any(map(lives, pids)))

    def test_nothing_is_left_after_an_exception(self):
        with self.assertRaises(ZeroDivisionError):
            with backends.Backends(self.folder) as b:
                pids = [b.collector.pid, b.jaeger.pid]
                self.assertTrue(all(map(lives, pids)))
                asked = time.monotonic()
                raise ZeroDivisionError
        self.assertFalse(any(map(lives, pids)))
        self.assertLess(time.monotonic() - asked, backends.STOP_SECONDS, "killed, not stopped")

    def test_another_choice_of_ports_is_made_when_one_is_taken(self):
        choose, choices = backends.free_ports, []
        self.addCleanup(setattr, backends, "free_ports", choose)
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()

            def first_a_bad_one(variables):
                ports = choose(variables)
                if not choices:
                    ports["COLLECTOR_HTTP_PORT"] = other.getsockname()[1]
                choices.append(ports)
                return ports

            backends.free_ports = first_a_bad_one
            with backends.Backends(self.folder) as b:
                self.b = b
                b.wait_for_trace(send_trace(b, "second choice"), 10)
        self.assertEqual(len(choices), 2)

    def test_a_bad_configuration_is_reported_with_the_log(self):
        overlay = os.path.join(self.folder, "overlay.yaml")
        with open(overlay, "w") as file:
            file.write("exporters: {no_such_exporter: {}}\n")
        b = backends.Backends(self.folder, overlays=[overlay])
        with self.assertRaisesRegex(backends.BackendError, "no_such_exporter"):
            b.start()
        self.assertFalse(b.jaeger.is_running() or b.collector.is_running())

    def test_up_ends_cleanly_when_asked(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            process, pids = self.up()
            process.send_signal(number)
            self.assertEqual(process.wait(30), 0)
            self.assertFalse(any(map(lives, pids)))

    def test_nothing_is_left_when_the_owner_is_killed(self):
        process, pids = self.up()
        process.kill()
        self.assert_gone(pids)

    def test_up_ends_when_a_backend_does(self):
        process, pids = self.up()
        os.kill(pids[0], signal.SIGKILL)
        self.assertEqual(process.wait(30), 1)
        self.assertFalse(any(map(lives, pids)))

    def test_up_runs_a_command_with_the_addresses_and_returns_its_status(self):
        process, pids = self.up("--", "sh", "-c", 'echo "$OTEL_EXPORTER_OTLP_ENDPOINT"; exit 7')
        self.assertRegex(process.stdout.read(), r"^http://127\.0\.0\.1:\d+\n$")
        self.assertEqual(process.wait(30), 7)
        self.assertFalse(any(map(lives, pids)))

    def test_up_ends_its_command_when_asked(self):
        process, pids = self.up("--", "sh", "-c", "echo $$; exec sleep 60")
        command = int(process.stdout.readline())
        process.terminate()
        self.assertEqual(process.wait(30), 128 + signal.SIGTERM)
        self.assertFalse(any(map(lives, [command, *pids])))

    def test_the_default_ports_are_those_of_the_configuration_files(self):
        defaults = {**backends.COLLECTOR_PORTS, **backends.JAEGER_PORTS}
        found = set()
        for name in ("collector", "jaeger"):
            with open(os.path.join(DEPLOY, name, name + ".yaml")) as file:
                found |= set(re.findall(r"\$\{env:(\w+_PORT):-(\d+)\}", file.read()))
        self.assertEqual(found, {(name, str(port)) for name, port in defaults.items()})


if __name__ == "__main__":
    unittest.main(verbosity=2)
