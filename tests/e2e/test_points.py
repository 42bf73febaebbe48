# SPDX-License-Identifier: Apache-2.0
"""Metrics as files, on the console, by themselves, and through a collector that fails: read by other implementations."""
import collections
import os
import re
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
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: E402

METERED = os.environ.get("SONDE_METERED", "")
DELTA = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
ALONE = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "otlp"}


def run(*arguments, **settings):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SONDE_"))}
    environment["SONDE_STATE_DIRECTORY"] = "none"
    return subprocess.run([METERED, *arguments], env={**environment, **settings}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)


def points_of(messages, name):
    """(process, attributes, point) for each point of the metric."""
    for message in messages:
        for resource in message.resource_metrics:
            pid = next(a.value.int_value for a in resource.resource.attributes if a.key == "process.pid")
            for metric in (m for scope in resource.scope_metrics for m in scope.metrics if m.name == name):
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    yield pid, {a.key: a.value.string_value for a in point.attributes}, point


def calls_of(messages, site):
    """How often, by process and in order of time."""
    found = collections.defaultdict(list)
    for pid, attributes, point in points_of(messages, "sonde.site.duration"):
        if attributes.get("sonde.site.name") == site:
            found[pid].append((point.time_unix_nano, point.count))
    return sorted(([n for _, n in sorted(counts)] for counts in found.values()), key=len)


class Points(unittest.TestCase):
    def test_files_are_otlp_json(self):
        with tempfile.TemporaryDirectory(prefix="sonde-e2e-") as folder:
            path = os.path.join(folder, "m")
            done = run(OTEL_TRACES_EXPORTER="file", OTEL_LOGS_EXPORTER="file", SONDE_FILE_PATH=path)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(sorted(os.listdir(folder)), ["m.logs.jsonl", "m.metrics.jsonl", "m.traces.jsonl"])
            with open(path + ".metrics.jsonl") as file:
                # An unknown key, or a number in a form that JSON has not, is an error.
                messages = [json_format.Parse(line, ExportMetricsServiceRequest()) for line in file]
        self.assertEqual(calls_of(messages, "charge card"), [[5], [410, 430]])
        for _, _, point in points_of(messages, "sonde.site.duration"):
            self.assertEqual(point.count, point.zero_count + sum(point.positive.bucket_counts))
            self.assertEqual(point.scale, 2)
            self.assertTrue(point.HasField("sum"))
        self.assertTrue(any(point.positive.offset < 0 for _, _, point in points_of(messages, "sonde.site.duration")))

    def test_files_for_other_signals_stay_away(self):
        with tempfile.TemporaryDirectory(prefix="sonde-e2e-") as folder:
            run(OTEL_TRACES_EXPORTER="file", OTEL_LOGS_EXPORTER="file", OTEL_METRICS_EXPORTER="none",
                SONDE_FILE_PATH=os.path.join(folder, "m"))
            self.assertEqual(sorted(os.listdir(folder)), ["m.logs.jsonl", "m.traces.jsonl"])

    def test_the_console_shows_what_was_added(self):
        done = run(OTEL_TRACES_EXPORTER="null", OTEL_LOGS_EXPORTER="null", OTEL_METRICS_EXPORTER="console")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        shown = re.findall(r"^\d\d:\d\d:\d\d\.\d{3}Z sonde\.site\.duration (\d+) in (\S+ \S+), mean (\S+ \S+), "
                           r"p50 < (\S+ \S+), p99 < (\S+ \S+)\s+sonde\.site\.name=charge card$", done.stdout, re.M)
        # 300 of 1 ms, 100 of 3 ms, 10 of 250 ms; the child's 5 of 1 ms; 20 of 2.5 s.
        self.assertEqual(sorted(shown), [("20", "50.000 s", "2.500 s", "2.828 s", "2.828 s"),
                                         ("410", "3.100 s", "7.6 ms", "1.2 ms", "250.0 ms"),
                                         ("5", "5.0 ms", "1.0 ms", "1.2 ms", "1.2 ms")])
        self.assertNotIn("lost", done.stdout)

    def test_the_console_shows_none_unasked(self):
        done = run(OTEL_TRACES_EXPORTER="console", OTEL_LOGS_EXPORTER="console")
        self.assertIn("charge card", done.stdout)
        self.assertNotIn("sonde.site", done.stdout)
        self.assertNotIn("otel.sdk", done.stdout)

    def test_exported_by_themselves(self):
        with hostile.Collector(hostile.answer(200)) as collector:
            done = run("wait", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_METRIC_EXPORT_INTERVAL="50", **ALONE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        messages = [ExportMetricsServiceRequest.FromString(r.message_bytes()) for r in collector.requests]
        times = sorted({point.time_unix_nano for _, _, point in points_of(messages, "otel.sdk.log.created")})
        self.assertGreaterEqual(len(times), 2)
        self.assertGreaterEqual(times[1] - times[0], 20e6)
        self.assertEqual(set(calls_of(messages, "charge card")[0]), {3})

    def test_deltas_survive_a_collector_that_fails(self):
        """Each body is accepted once, whatever came before; together they are what happened."""
        answers = [hostile.response(503), hostile.response(429), hostile.response(200), hostile.response(502),
                   *[hostile.response(200)] * 30]
        with hostile.Collector(hostile.in_turn(*answers)) as collector:
            done = run(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, SONDE_RETRY_INITIAL="10", SONDE_DIAGNOSTICS="none",
                       **ALONE, **DELTA)
        bodies = [r.message_bytes() for r in collector.requests]
        self.assertGreater(len(bodies), len(set(bodies)), "something was tried again")
        messages = [ExportMetricsServiceRequest.FromString(body) for body in dict.fromkeys(bodies)]
        # The flush says that it was incomplete, and the program ends there: its exit delivers.
        self.assertEqual(done.returncode, 2)
        self.assertEqual(calls_of(messages, "charge card"), [[410]])
        self.assertEqual(sum(point.as_int for _, _, point in points_of(messages, "otel.sdk.log.created")), 13)


if __name__ == "__main__":
    unittest.main()
