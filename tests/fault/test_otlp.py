#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The OTLP exporter against a collector that misbehaves in every way known.

For each: what it makes of the batch, whether the reason names the fault, and that no call ever waits.
The exporter's driver is the first argument.
"""

import email.utils
import gzip
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import hostile_collector as hostile  # noqa: E402  (it lies beside the other test support)

DRIVER = sys.argv.pop(1)
# A library to preload, which makes allocations fail; none under sanitizers, which have their own malloc.
FAILING_MALLOC = sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1].endswith(".so") else None
# No call may wait; on a loaded machine, one that is merely preempted may take so long.
SLOWEST_MS = 500


class Result:
    def __init__(self, line):
        found = re.fullmatch(r"result (\w+) rejected=(\d+) retry_after=(-?\d+) elapsed_ms=(\d+) "
                             r"token=(\d+) reason=(.*)", line)
        self.outcome, self.reason = found[1], found[6]
        self.rejected, self.retry_after, self.elapsed_ms = int(found[2]), int(found[3]), int(found[4])


class Run:
    """One run of the driver."""

    def __init__(self, settings, *options, may_take=SLOWEST_MS, wrapper=(), preload=None):
        command = [*wrapper, DRIVER, *options, *("%s=%s" % item for item in settings.items())]
        environment = {"PATH": os.environ["PATH"], "http_proxy": "http://127.0.0.1:1"}
        if preload:
            environment["LD_PRELOAD"] = preload
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                environment[name] = os.environ[name]
        done = subprocess.run(command, capture_output=True, timeout=60, env=environment)
        self.output = done.stdout.decode("utf-8")  # Strict: a reason must be valid UTF-8.
        assert done.returncode in (0, 1), (done.returncode, self.output, done.stderr)
        assert not done.stderr, done.stderr
        lines = self.output.splitlines()
        self.reports = [line.split(" ", 2)[2] for line in lines if line.startswith("report ")]
        self.results = [Result(line) for line in lines if line.startswith("result ")]
        self.result = self.results[0] if self.results else None
        slowest = re.search(r"slowest_ms=(\d+)", self.output)
        assert slowest and int(slowest[1]) <= may_take, self.output


def endpoint(url):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url}


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def partial_success(rejected, text):
    return field(1, field(1, rejected) + field(2, text))


def rpc_status(code, message):
    return field(1, code) + field(2, message)


class Case(unittest.TestCase):
    def check(self, run, outcome, *words):
        self.assertEqual(run.result.outcome, outcome, run.output)
        for word in words:
            self.assertIn(word, run.result.reason)
        self.assertLess(len(run.result.reason.encode()), 256)
        self.assertTrue(run.result.reason.isprintable(), run.result.reason)

    def against(self, behave, *options, tls=None, settings=None, **kw):
        with hostile.Collector(behave, tls=tls) as collector:
            run = Run({**endpoint(collector.url), **(settings or {})}, *options, **kw)
        run.collector = collector
        return run


class Taken(Case):
    def test_a_batch_is_taken(self):
        run = self.against(hostile.answer(200))
        self.check(run, "accepted")
        self.assertEqual(run.result.reason, "")
        [request] = run.collector.requests
        self.assertEqual((request.method, request.path), ("POST", "/v1/traces"))
        self.assertEqual(request.headers["content-type"], "application/x-protobuf")
        self.assertEqual(request.headers["user-agent"], "sonde/0.1.0 OTel-OTLP-Exporter-C/0.1.0")
        self.assertNotIn("expect", request.headers)
        self.assertNotIn("content-encoding", request.headers)

    def test_logs_go_to_their_own_path(self):
        run = self.against(hostile.answer(200), "-l")
        self.check(run, "accepted")
        self.assertEqual(run.collector.requests[0].path, "/v1/logs")

    def test_connections_are_used_again(self):
        run = self.against(hostile.answer(200), "-c", "20")
        self.assertEqual([r.outcome for r in run.results], ["accepted"] * 20)
        self.assertEqual(run.collector.connections, 1)

    def test_a_large_body_goes_without_a_question(self):
        run = self.against(hostile.answer(200), "-n", "20000")
        self.check(run, "accepted")
        self.assertGreater(len(run.collector.requests[0].body), 1 << 20)

    def test_gzip(self):
        settings = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
        run = self.against(hostile.answer(200), "-n", "1000", settings=settings)
        self.check(run, "accepted")
        [request] = run.collector.requests
        self.assertEqual(request.headers["content-encoding"], "gzip")
        self.assertGreater(len(gzip.decompress(request.body)), 4 * len(request.body))

    def test_headers_are_sent_and_decoded(self):
        settings = {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20a%3Db, x-empty=",
                    "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "x-logs=1"}
        run = self.against(hostile.answer(200), settings=settings)
        self.assertEqual(run.collector.requests[0].headers["authorization"], "Bearer a=b")
        self.assertEqual(run.collector.requests[0].headers["x-empty"], "")
        run = self.against(hostile.answer(200), "-l", settings=settings)
        self.assertNotIn("authorization", run.collector.requests[0].headers)
        self.assertEqual(run.collector.requests[0].headers["x-logs"], "1")

    def test_any_2xx_is_success(self):
        self.check(self.against(hostile.answer(202)), "accepted")

    def test_an_idle_connection_that_was_closed_is_replaced(self):
        def once(connection):
            connection.read_request()
            connection.send(hostile.response(200))
        run = self.against(once, "-c", "5")
        self.assertEqual([r.outcome for r in run.results], ["accepted"] * 5)


class Answered(Case):
    def test_partial_success(self):
        run = self.against(hostile.answer(200, partial_success(2, b"span\x1b[31m too\r\n old \xff")))
        self.check(run, "accepted", "rejected 2 of 3", "span [31m too old ?")
        self.assertEqual(run.result.rejected, 2)

    def test_partial_success_of_logs(self):
        run = self.against(hostile.answer(200, partial_success(1, b"")), "-l")
        self.check(run, "accepted", "rejected 1 of 3")
        self.assertEqual(run.result.rejected, 1)

    def test_no_more_is_rejected_than_was_sent(self):
        run = self.against(hostile.answer(200, partial_success(10 ** 12, b"")))
        self.assertEqual(run.result.rejected, 3)
        run = self.against(hostile.answer(200, partial_success((1 << 64) - 5, b"")))
        self.check(run, "accepted")
        self.assertEqual(run.result.rejected, 0)

    def test_a_warning_is_passed_on(self):
        run = self.against(hostile.answer(200, partial_success(0, b"deprecated")))
        self.check(run, "accepted", "warns", "deprecated")
        self.assertEqual(run.result.rejected, 0)

    def test_what_is_no_answer_of_otlp_is_taken_and_said(self):
        run = self.against(hostile.answer(200, b"\xff" * 50))
        self.check(run, "accepted", "is it a collector?")
        run = self.against(hostile.answer(200, b"<html>hello", content_type="text/html"))
        self.check(run, "accepted", "is it a collector?")
        run = self.against(hostile.answer(200, b'{"partialSuccess":{}}', content_type="application/json"))
        self.check(run, "accepted")
        self.assertEqual(run.result.reason, "")

    def test_an_answer_of_a_million_fields_costs_little(self):
        run = self.against(hostile.answer(200, b"\x78\x01" * 1000000))
        self.check(run, "accepted", "is it a collector?")

    def test_refusals_name_the_remedy(self):
        for status, words in ((400, "cannot read"), (401, "OTEL_EXPORTER_OTLP_HEADERS"),
                              (403, "OTEL_EXPORTER_OTLP_HEADERS"), (404, "/v1/traces answered 404"),
                              (405, "path"), (408, "408"), (413, "too big"), (415, "protobuf"), (500, "500"),
                              (501, "501")):
            with self.subTest(status=status):
                run = self.against(hostile.answer(status, rpc_status(3, b"it said\nso")))
                self.check(run, "refused", words, ": it said so")
                self.assertEqual(run.result.retry_after, -1)

    def test_a_plain_text_error_is_quoted_and_cut(self):
        run = self.against(hostile.answer(415, b"unsupported media type\n" * 50, content_type="text/plain"))
        self.check(run, "refused", "unsupported media type unsupported", "…")

    def test_an_error_without_words(self):
        run = self.against(hostile.answer(400, b"\x12\xff\xff\xff\xff\x0fx"))
        self.check(run, "refused", "answered 400")

    def test_retryable(self):
        for status in (429, 502, 503, 504):
            with self.subTest(status=status):
                run = self.against(hostile.answer(status, rpc_status(14, b"later")))
                self.check(run, "retry", ": later")
                self.assertEqual(run.result.retry_after, -1)

    def test_retry_after_in_seconds(self):
        run = self.against(hostile.answer(429, headers={"Retry-After": "7"}))
        self.check(run, "retry", "429")
        self.assertEqual(run.result.retry_after, 7000)

    def test_retry_after_as_a_date(self):
        date = email.utils.formatdate(time.time() + 60, usegmt=True)
        run = self.against(hostile.answer(503, headers={"Retry-After": date}))
        self.check(run, "retry", "503")
        self.assertTrue(50000 <= run.result.retry_after <= 60000, run.output)

    def test_retry_after_is_bounded_and_checked(self):
        for value, wanted in (("999999999", 900000), ("-5", -1), ("soon", -1), ("0", -1),
                              ("99999999999999999999", -1), ("Thu, 01 Jan 1970 00:00:00 GMT", -1)):
            with self.subTest(value=value):
                run = self.against(hostile.answer(503, headers={"Retry-After": value}))
                self.assertEqual(run.result.retry_after, wanted)

    def test_a_refusal_has_no_retry_after(self):
        run = self.against(hostile.answer(500, headers={"Retry-After": "7"}))
        self.check(run, "refused")
        self.assertEqual(run.result.retry_after, -1)

    def test_a_redirect_is_named_and_not_followed(self):
        with hostile.Collector(hostile.answer(200)) as elsewhere:
            run = self.against(hostile.answer(307, headers={"Location": elsewhere.url + "/other"}))
            self.check(run, "refused", elsewhere.url + "/other", "OTEL_EXPORTER_OTLP_ENDPOINT")
        self.assertEqual(elsewhere.requests, [])

    def test_five_mebibytes(self):
        run = self.against(hostile.answer(200, b"\0" * (5 << 20)))
        self.check(run, "refused", "more than 4 MiB")

    def test_four_mebibytes_are_read(self):
        text = b"x" * ((4 << 20) - 64)
        run = self.against(hostile.answer(200, partial_success(1, text)))
        self.check(run, "accepted", "rejected 1 of 3", "xxx…")

    def test_a_bomb(self):
        bomb = gzip.compress(b"\0" * (200 << 20), 9)
        self.assertLess(len(bomb), 1 << 20)
        for status in (200, 400):
            run = self.against(hostile.answer(status, bomb, headers={"Content-Encoding": "gzip"}))
            self.check(run, "refused", "more than 4 MiB")

    def test_a_compressed_answer_is_read(self):
        body = gzip.compress(partial_success(1, b"zipped"))
        run = self.against(hostile.answer(200, body, headers={"Content-Encoding": "gzip"}))
        self.check(run, "accepted", "rejected 1 of 3: zipped")

    def test_a_broken_compression_of_success_is_success(self):
        run = self.against(hostile.answer(200, b"not gzip at all", headers={"Content-Encoding": "gzip"}))
        self.check(run, "accepted", "is it a collector?")


class NotAnswered(Case):
    def test_nothing_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        run = Run(endpoint("http://127.0.0.1:%d" % port))
        self.check(run, "retry", "nothing listens at http://127.0.0.1:%d/v1/traces" % port)

    def test_a_name_that_does_not_exist(self):
        run = Run(endpoint("http://no-such-host.invalid:4318"), "-t", "8000")
        self.check(run, "retry")
        self.assertRegex(run.result.reason, "host name cannot be found|no connection to")

    def test_connections_that_are_not_accepted(self):
        """A full backlog: the kernel answers nothing, as a firewall would."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            fillers = []
            try:
                for _ in range(8):
                    filler = socket.socket()
                    filler.setblocking(False)
                    filler.connect_ex(listener.getsockname())
                    fillers.append(filler)
                run = Run(endpoint("http://127.0.0.1:%d" % listener.getsockname()[1]), "-t", "400")
            finally:
                for filler in fillers:
                    filler.close()
        self.check(run, "retry", "within 400 ms")
        self.assertTrue(390 <= run.result.elapsed_ms < 2000, run.output)

    def test_hangs_end_at_the_timeout(self):
        for behave in (hostile.hang_before_answer, hostile.hang_at_once, hostile.hang_in_answer, hostile.drip,
                       hostile.endless_continue):
            with self.subTest(behave=behave.__name__):
                run = self.against(behave, "-t", "300")
                self.check(run, "retry", "no answer from", "within 300 ms")
                self.assertTrue(290 <= run.result.elapsed_ms < 2000, run.output)

    def test_the_settings_timeout_counts_too(self):
        run = self.against(hostile.hang_before_answer, settings={"OTEL_EXPORTER_OTLP_TIMEOUT": "200"})
        self.check(run, "retry", "within 200 ms")

    def test_a_full_socket(self):
        run = self.against(hostile.hang_at_once, "-n", "100000", "-t", "300")
        self.check(run, "retry", "within 300 ms")

    def test_a_cancel_ends_at_once(self):
        for behave in (hostile.hang_before_answer, hostile.hang_at_once, hostile.hang_in_answer):
            with self.subTest(behave=behave.__name__):
                run = self.against(behave, "-x", "50")
                self.assertIn("cancelled", run.output)
                self.assertEqual(run.results, [])

    def test_after_a_cancel_the_next_is_sent(self):
        run = self.against(hostile.answer(200), "-x", "1", "-c", "5")
        self.assertEqual(run.output.count("cancelled") + run.output.count("accepted"), 5)

    def test_broken_connections(self):
        for behave, words in ((hostile.close_without_answer, "without an answer"),
                              (hostile.close_in_answer, "middle of the answer"),
                              (hostile.reset_after_request, "connection broke"),
                              # Which depends on how far it got.
                              (hostile.reset_at_once, "connection broke|reset by peer")):
            with self.subTest(behave=behave.__name__):
                run = self.against(behave)
                self.check(run, "retry")
                self.assertRegex(run.result.reason, words)

    def test_rubbish(self):
        self.check(self.against(hostile.garbage), "refused", "is not HTTP")

    def test_a_grpc_port(self):
        try:
            collector = hostile.Collector(hostile.like_grpc, port=4317)
        except OSError:
            self.skipTest("port 4317 is taken")
        with collector:
            run = Run(endpoint(collector.url))
        self.assertIn(run.result.outcome, ("refused", "retry"))
        self.assertIn("port 4317 is gRPC's, OTLP over HTTP is at 4318", run.result.reason)


class Tls(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.good = hostile.Certificates(cls.folder.name, "good")
        cls.other = hostile.Certificates(cls.folder.name, "other")
        cls.elsewhere = hostile.Certificates(cls.folder.name, "elsewhere", "DNS:elsewhere.example")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def trust(self, certificates):
        return {"OTEL_EXPORTER_OTLP_CERTIFICATE": certificates.ca}

    def test_a_trusted_server(self):
        run = self.against(hostile.answer(200), "-c", "3", tls=self.good.server_context(),
                           settings=self.trust(self.good))
        self.check(run, "accepted")
        self.assertEqual(run.collector.connections, 1)

    def test_forked_children_say_no_goodbye(self):
        run = self.against(hostile.answer(200), "-c", "3", "-f", tls=self.good.server_context(),
                           settings=self.trust(self.good))
        self.assertEqual([r.outcome for r in run.results], ["accepted"] * 3)
        self.assertEqual(run.collector.connections, 1)

    def test_an_unknown_authority(self):
        run = self.against(hostile.answer(200), tls=self.good.server_context())
        self.check(run, "retry", "is not trusted: OTEL_EXPORTER_OTLP_CERTIFICATE")
        self.assertEqual(run.collector.requests, [])
        run = self.against(hostile.answer(200), tls=self.good.server_context(), settings=self.trust(self.other))
        self.check(run, "retry", "is not trusted: OTEL_EXPORTER_OTLP_CERTIFICATE")

    def test_a_certificate_for_another_name(self):
        run = self.against(hostile.answer(200), tls=self.elsewhere.server_context(),
                           settings=self.trust(self.elsewhere))
        self.check(run, "retry", "TLS certificate")
        self.assertEqual(run.collector.requests, [])

    def test_a_client_certificate(self):
        tls = self.good.server_context(client_ca=self.other.ca)
        client = {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": self.other.certificate,
                  "OTEL_EXPORTER_OTLP_CLIENT_KEY": self.other.key, **self.trust(self.good)}
        self.check(self.against(hostile.answer(200), tls=tls, settings=client), "accepted")
        run = self.against(hostile.answer(200), tls=tls, settings=self.trust(self.good))
        self.check(run, "retry")
        self.assertEqual(run.collector.requests, [])

    def test_missing_files_are_reported(self):
        run = self.against(hostile.answer(200), tls=self.good.server_context(),
                           settings={"OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/such/file.pem"})
        self.check(run, "retry", "OTEL_EXPORTER_OTLP_CERTIFICATE")
        self.assertEqual(len(run.reports), 1)
        self.assertIn('OTEL_EXPORTER_OTLP_CERTIFICATE="/no/such/file.pem" cannot be read', run.reports[0])

    def test_a_hang_in_the_handshake(self):
        with hostile.Collector(hostile.hang_at_once) as collector:
            run = Run({**endpoint(collector.url.replace("http:", "https:")), **self.trust(self.good)}, "-t", "300")
            self.check(run, "retry", "within 300 ms")
            run = Run({**endpoint(collector.url.replace("http:", "https:")), **self.trust(self.good)}, "-x", "50")
            self.assertIn("cancelled", run.output)

    def test_https_to_a_plain_port(self):
        def plain(connection):
            connection.sock.recv(1000)
            connection.send(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        with hostile.Collector(plain) as collector:
            run = Run(endpoint(collector.url.replace("http:", "https:")))
        self.check(run, "retry", "does not speak TLS: should it be http:// ?")

    def test_http_to_a_tls_port(self):
        """As Go's servers answer."""
        def tls_port(connection):
            connection.read_request()
            connection.send(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
        run = self.against(tls_port)
        self.check(run, "refused", "should it be https:// ?")


class HangingResolver(Case):
    """A name server that never answers, in a mount namespace of its own."""

    def test_neither_cancel_nor_close_waits_for_a_name(self):
        script = ("mount --bind %s /etc/resolv.conf && mount --bind %s /etc/nsswitch.conf && "
                  "mount --bind %s /etc/hosts && exec \"$@\"")
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            paths = []
            for name, text in (("resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:2\n"),
                               ("nsswitch.conf", "hosts: dns\n"), ("hosts", "")):
                paths.append(os.path.join(folder, name))
                with open(paths[-1], "w") as file:
                    file.write(text)
            try:
                silent.bind(("127.0.0.1", 53))
                wrapper = ["unshare", "--mount", "sh", "-ec", script % tuple(paths), "sh"]
                subprocess.run([*wrapper, "true"], check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError):
                self.skipTest("needs the right to mount, and port 53")
            url = endpoint("http://collector.example:4318")
            run = Run(url, "-x", "100", wrapper=wrapper)
            self.assertIn("cancelled", run.output)
            began = time.monotonic()
            run = Run(url, "-t", "300", wrapper=wrapper)
            self.check(run, "retry", "no connection to http://collector.example:4318/v1/traces within 300 ms")
            self.assertLess(run.result.elapsed_ms, 2000)
            self.assertLess(time.monotonic() - began, 5)


class OutOfMemory(Case):
    """From each allocation of a request on, all fail; the next request has memory again."""

    def test_every_request_ends_and_the_next_succeeds(self):
        if not FAILING_MALLOC:
            self.skipTest("sanitizers have their own malloc")
        outcomes = set()
        with hostile.Collector(hostile.answer(200, partial_success(1, b"old"))) as collector:
            for n in range(200):
                run = Run(endpoint(collector.url), "-c", "2", "-t", "3000", "-m", str(n), preload=FAILING_MALLOC)
                first, second = run.results
                self.assertEqual(second.outcome, "accepted", run.output)
                self.assertEqual(second.rejected, 1)
                self.assertNotEqual(first.outcome, "refused", run.output)
                self.assertLess(first.elapsed_ms, 2000)
                outcomes.add(first.outcome)
                if first.outcome == "accepted" and first.rejected:
                    break
        self.assertEqual(outcomes, {"retry", "accepted"})
        self.assertGreater(n, 20)


if __name__ == "__main__":
    unittest.main(verbosity=1)
