# SPDX-License-Identifier: Apache-2.0
"""Secrets in all that a service records, and what comes out: nothing of them, by whatever exporter; and the audit
says of it just what the receiver got."""
import base64
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import pypi  # noqa: E402

pypi.become("opentelemetry-proto==1.45.2", "protobuf==7.36.2")

import hostile_collector as hostile  # noqa: E402
from google.protobuf import json_format  # noqa: E402
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest  # noqa: E402
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: E402
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: E402

LEAKY = os.environ.get("SONDE_LEAKY", "")
MESSAGES = {"traces": ExportTraceServiceRequest, "logs": ExportLogsServiceRequest,
            "metrics": ExportMetricsServiceRequest}
SECRETS = [b"hunter2", b"s3cr3t", b"4111 1111", b"4111111111111111", b"c2lnbmF0dXJl",
           base64.b64encode(b"login with password=hunter2")[:-4], b"bob:"]


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SONDE_"))}
    return {**kept, "SONDE_STATE_DIRECTORY": "none", **more}


def run(*arguments, **more):
    return subprocess.run([LEAKY, *arguments], env=environment(**more), stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=120)


def with_binary_ids(value, key=""):
    """OTLP/JSON writes ids in hexadecimal, protobuf's own JSON in base64."""
    if isinstance(value, dict):
        return {k: with_binary_ids(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [with_binary_ids(v) for v in value]
    if key in ("traceId", "spanId", "parentSpanId"):
        return base64.b64encode(bytes.fromhex(value)).decode()
    return value


class Privacy(unittest.TestCase):
    def check_clean(self, data, what):
        for secret in SECRETS:
            at = data.find(secret)
            self.assertEqual(at, -1, f"{what}: …{data[max(at - 60, 0):at + 40]}…")
        self.assertIn(b"[redacted]", data, what)

    def collect(self, *arguments, compression="none", **more):
        with hostile.Collector(hostile.answer(200)) as collector:
            done = run(*arguments, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
                       OTEL_EXPORTER_OTLP_COMPRESSION=compression, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return collector.requests, done

    def test_otlp(self):
        for compression in ("none", "gzip"):
            for mode in ((), ("hook",)):
                with self.subTest(compression, mode=mode):
                    requests, done = self.collect(*mode, compression=compression)
                    self.assertEqual({r.path for r in requests}, {"/v1/traces", "/v1/logs", "/v1/metrics"})
                    for request in requests:
                        self.check_clean(request.message_bytes(), request.path)
                    spans = sum(len(s.spans) for r in requests if r.path == "/v1/traces"
                                for rs in ExportTraceServiceRequest.FromString(r.message_bytes()).resource_spans
                                for s in rs.scope_spans)
                    self.assertEqual(spans, 40)
                    keys, cards = map(int, re.search(rb"keys (\d+) cards (\d+)", done.stdout).groups())
                    self.assertGreater(keys, 200)
                    self.assertGreater(cards, 200)

    def test_odd_places(self):
        """Keys, links, tracestate, names, labels, breadcrumbs, answers, alerts, diagnostics; texts that were cut."""
        with tempfile.TemporaryDirectory() as folder, hostile.Collector(hostile.answer(200)) as hook:
            path = os.path.join(folder, "out")
            requests, done = self.collect(
                "odd", OTEL_TRACES_EXPORTER="otlp,console,file", OTEL_LOGS_EXPORTER="otlp,console,file",
                OTEL_METRICS_EXPORTER="otlp,console,file", SONDE_FILE_PATH=path, SONDE_AUDIT=path + ".audit",
                SONDE_WEBHOOK_URL=hook.url + "/hunter2", SONDE_STATE_DIRECTORY=folder,
                SONDE_DIAGNOSTICS="debug", SONDE_REDACT="default",
                OTEL_RESOURCE_ATTRIBUTES="note=password=hunter2,x=,pan=4111111111111111,=",
                OTEL_BSP_SCHEDULE_DELAY="postgres://bob:hunter2@db")
            for request in requests:
                self.check_clean(request.message_bytes(), request.path)
            self.assertIn(b"note=password=[redacted]", done.stderr)
            self.check_clean(done.stdout + done.stderr, "console")
            self.assertIn(b'"instance":"/login?access_token=[redacted]"', done.stdout)
            self.assertTrue(hook.requests)
            self.check_clean(b"".join(r.body for r in hook.requests) + b"[redacted]", "webhook")
            names = os.listdir(folder)
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    data = file.read()
                for secret in SECRETS:
                    self.assertNotIn(secret, data, name)
            self.assertGreater(len(names), 4)
        keys, cards = map(int, re.search(rb"keys (\d+) cards (\d+)", done.stdout).groups())
        # Of records of 16 KiB a ring may refuse some.
        self.assertGreater(keys, 40)
        self.assertGreater(cards, 40)

    def test_nothing_is_redacted_when_nothing_is_to_be(self):
        requests, _ = self.collect(SONDE_REDACT="none", SONDE_REDACT_KEYS="none")
        body = b"".join(r.message_bytes() for r in requests)
        self.assertIn(b"hunter2", body)
        self.assertIn(b"4111 1111 1111 1111", body)
        self.assertNotIn(b"[redacted]", body)

    def test_console_and_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out")
            both = run(OTEL_TRACES_EXPORTER="console,file", OTEL_LOGS_EXPORTER="console,file",
                       OTEL_METRICS_EXPORTER="none", SONDE_FILE_PATH=path)
            self.assertEqual(both.returncode, 0, both.stderr)
            self.check_clean(both.stdout + both.stderr, "console")
            for kind in ("traces", "logs"):
                with open(f"{path}.{kind}.jsonl", "rb") as file:
                    self.check_clean(file.read(), kind)

    def test_audit_is_what_was_sent(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "audit.jsonl")
            requests, _ = self.collect(SONDE_AUDIT=path)
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            with open(path, "rb") as file:
                data = file.read()
        self.check_clean(data, "audit")
        lines = [json.loads(line) for line in data.splitlines()]
        made = {}
        for line in lines:
            self.assertEqual(line["pid"], lines[0]["pid"])
            if line["event"] == "made":
                self.assertEqual(line["destination"], "otlp")
                made.setdefault(line["request"], []).append(line)
        for event in ("sent", "accepted"):
            self.assertEqual(sorted(l["request"] for l in lines if l["event"] == event), sorted(made))
        self.assertEqual(sum(l["items"] for l in lines if l["event"] == "accepted"),
                         sum(l["items"] for parts in made.values() for l in parts))
        self.assertEqual(self.as_audited(made), sorted(map(self.as_received, requests)))

    def as_received(self, request):
        kind = request.path.rsplit("/", 1)[1]
        message = MESSAGES[kind].FromString(request.message_bytes())
        if kind == "logs":
            for resource in message.resource_logs:
                for scope in resource.scope_logs:
                    for record in scope.log_records:
                        # The number in words, which the exporter adds.
                        self.assertIn(record.severity_text, ("INFO", "WARN", "ERROR"))
                        record.severity_text = ""
        return kind, message.SerializeToString(deterministic=True)

    def as_audited(self, made):
        messages = []
        for parts in made.values():
            message = MESSAGES[parts[0]["signal"]]()
            for part in sorted(parts, key=lambda line: line["part"]):
                json_format.ParseDict(with_binary_ids(part["body"]), message)
            messages.append((parts[0]["signal"], message.SerializeToString(deterministic=True)))
        return sorted(messages)

    def test_audit_is_bounded_and_its_users_own(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "audit.jsonl")
            self.collect(SONDE_AUDIT=path, SONDE_AUDIT_LIMIT="64KiB", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="5",
                         OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="5")
            self.assertEqual(sorted(os.listdir(folder)), ["audit.jsonl", "audit.jsonl.1"])
            for name in os.listdir(folder):
                self.assertLess(os.path.getsize(os.path.join(folder, name)), 160 * 1024)
                with open(os.path.join(folder, name), "rb") as file:
                    for line in file:
                        json.loads(line)
            for make in (lambda link: os.symlink(path, link), lambda link: os.link(path, link),
                         os.mkfifo, os.mkdir):
                link = os.path.join(folder, "other")
                make(link)
                _, done = self.collect(SONDE_AUDIT=link)
                self.assertIn(b"what is sent cannot be written there", done.stderr)
                self.assertEqual(done.stderr.count(b"SONDE_AUDIT"), 1)
                (os.rmdir if os.path.isdir(link) and not os.path.islink(link) else os.remove)(link)

    def accounts(self, done):
        return [tuple(map(int, line.split())) for line in done.stdout.decode().splitlines()[:3]]

    def test_hook_drops(self):
        _, done = self.collect("drop")
        for signal, captured, exported, queued, hook, lost in self.accounts(done):
            self.assertEqual((captured, queued, lost), (exported + hook, 0, 0), signal)
        self.assertEqual(sum(row[4] for row in self.accounts(done)[:2]), (40 + 120) // 2)

    def test_hook_that_records(self):
        """An error and a message for each item: they leave, and the hook is not called for them."""
        requests, done = self.collect("loop", OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN="logs/dup")
        self.assertIn(b"calls 160 ", done.stdout)
        records = [record for r in requests if r.path == "/v1/logs"
                   for rl in ExportLogsServiceRequest.FromString(r.message_bytes()).resource_logs
                   for s in rl.scope_logs for record in s.log_records if record.body.string_value == "in the hook"]
        # What the last calls recorded may come after the stop's last drain; it is counted then.
        self.assertGreater(len(records), 160)
        self.assertEqual({(r.trace_id, r.span_id) for r in records}, {(b"", b"")})
        for signal, captured, exported, queued, _, lost in self.accounts(done):
            self.assertEqual((captured, queued), (exported + lost, 0), signal)


if __name__ == "__main__":
    unittest.main()
