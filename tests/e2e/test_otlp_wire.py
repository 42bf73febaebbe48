#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the OTLP exporter sends, read by OpenTelemetry's own classes for it.

Nothing unknown, nothing lost, nothing longer than it must be. The exporter's driver is the argument; it
fills every field by a rule (tests/support/otlp_batch.c), which is repeated here.
"""

import os
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import pypi  # noqa: E402  (it lies beside the other test support)

pypi.become("opentelemetry-proto==1.45.2", "protobuf==7.36.2")

from google.protobuf import unknown_fields  # noqa: E402
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest  # noqa: E402
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: E402
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: E402

import hostile_collector as hostile  # noqa: E402

DRIVER = sys.argv.pop(1)
SPANS, LOGS, POINTS = "-s", "-l", "-p"


def request_of(signal, n, compression="none"):
    """The one request that the driver sends for a batch of n items."""
    with hostile.Collector(hostile.answer(200)) as collector:
        command = [DRIVER, *([] if signal == SPANS else [signal]), "-n", str(n),
                   "OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.url,
                   "OTEL_EXPORTER_OTLP_COMPRESSION=" + compression]
        output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "result accepted" in output, output
    [request] = collector.requests
    return request


def has_unknown(message):
    if len(unknown_fields.UnknownFieldSet(message)):
        return True
    for descriptor, value in message.ListFields():
        if descriptor.message_type:
            for part in value if hasattr(value, "add") else [value]:
                if has_unknown(part):
                    return True
    return False


def item_id(size, i):
    return b"\xa0" * (size - 4) + (i + 1).to_bytes(4, "big")


class Wire(unittest.TestCase):
    def decode(self, kind, body):
        message = kind.FromString(body)
        self.assertFalse(has_unknown(message))
        again = message.SerializeToString()
        self.assertEqual(len(again), len(body), "the same fields take as many bytes in whatever order")
        self.assertEqual(kind.FromString(again), message)
        return message

    def check_head(self, of_resource, of_scope):
        [attribute] = of_resource.resource.attributes
        self.assertEqual((attribute.key, attribute.value.string_value), ("service.name", "checkout"))
        self.assertEqual((of_scope.scope.name, of_scope.scope.version), ("sonde", "0.1.0"))
        self.assertEqual(of_resource.schema_url, "https://opentelemetry.io/schemas/1.44.0")
        self.assertEqual(of_scope.schema_url, of_resource.schema_url)

    def check_span(self, span, i):
        self.assertEqual((span.trace_id, span.span_id), (item_id(16, i), item_id(8, i)))
        self.assertEqual(span.parent_span_id, item_id(8, i - 1) if i % 2 else b"")
        self.assertEqual((span.name, span.kind), ("charge card", 1 + i % 5))
        self.assertEqual(span.start_time_unix_nano, 1800000000000000000 + i)
        self.assertEqual(span.end_time_unix_nano, span.start_time_unix_nano + 1 + i)
        self.assertEqual(span.trace_state, "" if i % 3 else "congo=t61rcWkgMzE")
        self.assertEqual((span.status.code, span.status.message), (i % 3, "declined é" if i % 3 == 2 else ""))
        self.assertEqual(span.flags, 0x101 | (0x200 if i % 2 else 0))
        self.assertEqual((span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count),
                         (100 * i, i % 4, 0xffffffff if i == 7 else 0))
        attributes = {a.key: a.value for a in span.attributes}
        if i % 4 > 0:
            self.assertEqual(attributes["order.items"].int_value, 3)
            self.assertEqual(attributes["order.currency"].string_value, "EUR")
        self.assertEqual(len(attributes), 2 if i % 4 else 0)
        self.assertEqual([(e.name, e.attributes[0].key, e.attributes[0].value.bool_value, e.time_unix_nano,
                           e.dropped_attributes_count) for e in span.events],
                         [("tick", "n", True, 0x0807060504030201, 2)] if i % 4 > 1 else [])
        self.assertEqual([(k.trace_id, k.span_id, k.flags) for k in span.links],
                         [(b"0123456789abcdef", b"01234567", 0x301)] if i % 4 > 2 else [])

    def check_log(self, log, i):
        has_trace = i % 3 > 0
        self.assertEqual((log.trace_id, log.span_id, log.flags),
                         (item_id(16, i), item_id(8, i), 3) if has_trace else (b"", b"", 0))
        self.assertEqual(log.time_unix_nano, 1800000000000000000 + i if i % 5 else 0)
        self.assertEqual(log.observed_time_unix_nano, 1800000000000000500 + i)
        self.assertEqual(log.HasField("body"), i % 4 > 0)
        self.assertEqual(log.body.string_value, "card declined" if i % 4 else "")
        self.assertEqual(log.event_name, "exception" if i % 2 else "")
        self.assertEqual(log.severity_number, 1 + i % 24)
        level = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")[i % 24 // 4]
        self.assertEqual(log.severity_text, level + (str(i % 4 + 1) if i % 4 else ""))
        self.assertEqual(log.dropped_attributes_count, i % 7)
        self.assertEqual([(a.key, a.value.string_value) for a in log.attributes],
                         [("exception.type", "payment_declined")] if i % 2 else [])

    def check_spans(self, body, n):
        [of_resource] = self.decode(ExportTraceServiceRequest, body).resource_spans
        [of_scope] = of_resource.scope_spans
        self.check_head(of_resource, of_scope)
        self.assertEqual(len(of_scope.spans), n)
        for i, span in enumerate(of_scope.spans):
            self.check_span(span, i)

    def check_logs(self, body, n):
        [of_resource] = self.decode(ExportLogsServiceRequest, body).resource_logs
        [of_scope] = of_resource.scope_logs
        self.check_head(of_resource, of_scope)
        self.assertEqual(len(of_scope.log_records), n)
        for i, log in enumerate(of_scope.log_records):
            self.check_log(log, i)

    def check_histogram(self, point, i):
        self.assertEqual((point.scale, point.zero_count, point.zero_threshold), (i % 3 - 1, i % 3, 2**-30 if i % 2 else 0))
        self.assertTrue(point.HasField("sum"))
        self.assertEqual(point.sum, i + 0.25)
        buckets = [1 << (20 * k + i % 4) for k in range(i % 5)]
        self.assertEqual(list(point.positive.bucket_counts), buckets)
        self.assertEqual(point.HasField("positive"), bool(buckets))
        self.assertEqual(point.positive.offset, (-i if i % 2 else i) if buckets else 0)
        self.assertEqual(point.count, i % 3 + sum(buckets))
        self.assertFalse(point.HasField("negative"))

    def check_point(self, point, is_histogram, is_monotonic, i):
        self.assertEqual(point.start_time_unix_nano, 1800000000000000000 + i)
        self.assertEqual(point.time_unix_nano, 1800000060000000000 + i)
        self.assertEqual([(a.key, a.value.string_value) for a in point.attributes], [("k", "v")] if i % 2 else [])
        if is_histogram:
            self.check_histogram(point, i)
        else:
            self.assertEqual(point.WhichOneof("value"), "as_int")
            self.assertEqual(point.as_int, -i if i % 2 and not is_monotonic else 1000 * i)

    def check_metric(self, metric, m, n):
        self.assertEqual(metric.name, "orders.open" if m % 2 else "orders")
        self.assertEqual(metric.description, "What came in" if m % 3 else "")
        self.assertEqual(metric.unit, "{order}" if m % 5 else "")
        kind = ("sum", "sum", "gauge", "exponential_histogram")[m % 4]
        self.assertEqual(metric.WhichOneof("data"), kind)
        data = getattr(metric, kind)
        if kind != "gauge":
            self.assertEqual(data.aggregation_temporality, 1 if m % 8 >= 4 else 2)
        if kind == "sum":
            self.assertEqual(data.is_monotonic, m % 4 == 0)
        self.assertEqual(len(data.data_points), min(3, n - 3 * m))
        for k, point in enumerate(data.data_points):
            self.check_point(point, kind == "exponential_histogram", m % 4 == 0, 3 * m + k)

    def test_points(self):
        for n in (1, 2, 3, 50, 512, 3000):
            for compression in ("none", "gzip"):
                with self.subTest(n=n, compression=compression):
                    request = request_of(POINTS, n, compression)
                    self.assertEqual(request.path, "/v1/metrics")
                    [of_resource] = self.decode(ExportMetricsServiceRequest, request.message_bytes()).resource_metrics
                    [of_scope] = of_resource.scope_metrics
                    self.check_head(of_resource, of_scope)
                    self.assertEqual(len(of_scope.metrics), -(-n // 3))
                    for m, metric in enumerate(of_scope.metrics):
                        self.check_metric(metric, m, n)

    def test_spans(self):
        for n in (1, 2, 512, 3000):
            for compression in ("none", "gzip"):
                with self.subTest(n=n, compression=compression):
                    request = request_of(SPANS, n, compression)
                    self.assertEqual(request.headers.get("content-encoding", "none"), compression)
                    self.check_spans(request.message_bytes(), n)

    def test_logs(self):
        for n in (1, 512, 3000):
            for compression in ("none", "gzip"):
                with self.subTest(n=n, compression=compression):
                    self.check_logs(request_of(LOGS, n, compression).message_bytes(), n)


if __name__ == "__main__":
    unittest.main(verbosity=1)
