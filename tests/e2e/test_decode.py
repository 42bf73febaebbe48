# SPDX-License-Identifier: Apache-2.0
"""Every body that the whole agent sends, read by an independent implementation of the protocol."""
import os
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import pypi  # noqa: E402

pypi.become("opentelemetry-proto==1.45.2", "protobuf==7.36.2")

import hostile_collector as hostile  # noqa: E402
from google.protobuf import unknown_fields  # noqa: E402
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest  # noqa: E402
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: E402
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: E402

RECORDER = os.environ.get("SONDE_RECORDER", "")
MESSAGES = {"/v1/traces": ExportTraceServiceRequest, "/v1/logs": ExportLogsServiceRequest,
            "/v1/metrics": ExportMetricsServiceRequest}


def walk(message):
    """The message and everything below it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type:
            for child in (value if field.is_repeated else [value]):
                yield from walk(child)


class Decode(unittest.TestCase):
    def record(self, compression):
        with hostile.Collector(hostile.answer(200)) as collector:
            environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
            environment.update(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_EXPORTER_OTLP_COMPRESSION=compression,
                               OTEL_EXPORTER_OTLP_HEADERS="authorization=Basic%20abc,x-team=core")
            done = subprocess.run([RECORDER], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return collector.requests

    def check(self, request):
        body = request.message_bytes()
        message = MESSAGES[request.path].FromString(body)
        for part in walk(message):
            self.assertEqual(len(unknown_fields.UnknownFieldSet(part)), 0, part)
        again = message.SerializeToString()
        self.assertEqual(len(again), len(body), "something was written twice, or in vain")
        self.assertEqual(MESSAGES[request.path].FromString(again), message)
        return message

    def test_every_body(self):
        for compression in ("none", "gzip"):
            with self.subTest(compression):
                requests = self.record(compression)
                self.assertEqual({r.path for r in requests}, set(MESSAGES))
                messages = [self.check(request) for request in requests]
                spans = [s for m in messages if isinstance(m, ExportTraceServiceRequest)
                         for r in m.resource_spans for scope in r.scope_spans for s in scope.spans]
                self.assertEqual(len(spans), 10)
                self.assertEqual(len({s.span_id for s in spans}), 10)
                for span in spans:
                    self.assertEqual((len(span.trace_id), len(span.span_id)), (16, 8))
                    self.assertGreater(span.end_time_unix_nano, span.start_time_unix_nano)

    def test_every_point(self):
        """As a receiver must have it: times in order, counts that add up, no two points of one series."""
        messages = [self.check(r) for r in self.record("none") if r.path == "/v1/metrics"]
        metrics = [m for message in messages for r in message.resource_metrics for s in r.scope_metrics
                   for m in s.metrics]
        self.assertGreater(len(metrics), 5)
        for metric in metrics:
            data = getattr(metric, metric.WhichOneof("data"))
            seen = set()
            for point in data.data_points:
                self.assertLess(point.start_time_unix_nano, point.time_unix_nano)
                series = tuple(sorted((a.key, a.value.SerializeToString()) for a in point.attributes))
                self.assertEqual(len({key for key, _ in series}), len(series))
                self.assertNotIn(series, seen, metric.name)
                seen.add(series)
                if metric.WhichOneof("data") == "exponential_histogram":
                    self.assertEqual(point.count, point.zero_count + sum(point.positive.bucket_counts))

    def test_heads(self):
        for request in self.record("gzip"):
            self.assertEqual(request.method, "POST")
            self.assertEqual(request.headers["content-type"], "application/x-protobuf")
            self.assertEqual(request.headers["content-encoding"], "gzip")
            self.assertEqual(request.headers["authorization"], "Basic abc")
            self.assertEqual(request.headers["x-team"], "core")
            self.assertRegex(request.headers["user-agent"], r"^sonde/\d+\.\d+\.\d+ OTel-OTLP-Exporter-C/")
            self.assertNotIn("expect", request.headers)


if __name__ == "__main__":
    unittest.main()
