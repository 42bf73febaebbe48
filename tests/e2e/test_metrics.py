# SPDX-License-Identifier: Apache-2.0
"""What was counted, at the real Collector, field by field, against what the program did.

Totals and deltas, and the agent's figures of itself against its own accounts. The program forks once: the
child's series are its own.
"""
import collections
import math
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from checkout import backends  # noqa: E402

METERED = os.environ.get("SONDE_METERED", "")
CUMULATIVE, DELTA = 2, 1
# Seconds and how often, before the flush; then what came after it; then the child's.
FIRST = [(0.001, 300), (0.003, 100), (0.25, 10)]
SECOND = [(2.5, 20)]
CHILD = [(0.001, 5)]


def attributes(holder):
    return {a["key"]: next(iter(a["value"].values())) for a in holder.get("attributes", [])}


def bucket(seconds, scale):
    """The index of the bucket that this lies in: its upper bound belongs to it."""
    return math.ceil(math.log2(seconds) * 2 ** scale) - 1


def buckets_of(point):
    found = point.get("positive", {})
    offset = found.get("offset", 0)
    return {offset + i: int(n) for i, n in enumerate(found.get("bucketCounts", [])) if int(n)}


def expected(*parts):
    counts = collections.Counter()
    for seconds, n in (pair for part in parts for pair in part):
        counts[bucket(seconds, 2)] += n
    return dict(counts)


def total(*parts):
    return sum(n for part in parts for _, n in part)


class Run:
    """One run of the program, and the metrics it sent, in order of their time."""

    def __init__(self, b, **settings):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SONDE_"))}
        environment["SONDE_STATE_DIRECTORY"] = "none"
        environment.update(OTEL_EXPORTER_OTLP_ENDPOINT=b.otlp_http, **settings)
        before = len(b.metrics())
        done = subprocess.run([METERED], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)
        self.accounts = {}
        for line in done.stdout.splitlines():
            who, signal, *numbers = line.split()
            self.accounts[who, int(signal)] = tuple(map(int, numbers))
        self.metrics = b.metrics()[before:]
        pids = [attributes(m["resource"])["process.pid"] for m in self.metrics]
        self.parent, self.child = sorted(set(pids), key=lambda pid: -pids.count(pid))[:2]

    def points(self, name, who=None, **wanted):
        wanted = {key.replace("_", "."): value for key, value in wanted.items()}
        found = []
        for metric in self.metrics:
            if metric["name"] != name or attributes(metric["resource"])["process.pid"] != (who or self.parent):
                continue
            data = metric.get("sum") or metric.get("exponentialHistogram") or metric.get("gauge")
            for point in data["dataPoints"]:
                if wanted.items() <= attributes(point).items():
                    found.append(dict(point, of=metric, data=data))
        return sorted(found, key=lambda point: int(point["timeUnixNano"]))


class Metrics(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="sonde-e2e-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.backends = backends.Backends(cls.folder.name)
        cls.backends.start()
        cls.addClassCleanup(cls.backends.stop)
        cls.totals = Run(cls.backends)
        cls.deltas = Run(cls.backends, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta",
                         OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
        cls.sampled = Run(cls.backends, OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.1")

    def check_histogram(self, point, temporality, *parts):
        self.assertEqual(point["data"]["aggregationTemporality"], temporality)
        self.assertEqual(int(point["count"]), total(*parts))
        self.assertAlmostEqual(point["sum"], sum(s * n for part in parts for s, n in part), delta=1e-6)
        self.assertEqual(point["scale"], 2)
        self.assertEqual(int(point.get("zeroCount", 0)), 0)
        self.assertTrue(0 < point["zeroThreshold"] < 2e-9)
        self.assertEqual(buckets_of(point), expected(*parts))
        self.assertLess(int(point["startTimeUnixNano"]), int(point["timeUnixNano"]))

    def test_nothing_is_lost(self):
        for run in (self.totals, self.deltas):
            self.assertEqual(len(run.accounts), 8)
            for key, (captured, exported, queued, lost) in run.accounts.items():
                self.assertEqual((exported, queued, lost), (captured, 0, 0), key)
            self.assertEqual(run.accounts["parent", 3][0] + run.accounts["child", 3][0], sum(
                len((m.get("sum") or m.get("exponentialHistogram") or m.get("gauge"))["dataPoints"]) for m in run.metrics))

    def test_a_site_in_totals(self):
        first, second = self.totals.points("sonde.site.duration", sonde_site_name="charge card")
        self.check_histogram(first, CUMULATIVE, FIRST)
        self.check_histogram(second, CUMULATIVE, FIRST, SECOND)
        self.assertEqual(first["startTimeUnixNano"], second["startTimeUnixNano"])
        self.assertEqual(second["of"]["unit"], "s")
        self.assertTrue(second["of"]["description"])
        found = attributes(second)
        self.assertEqual(found["code.function.name"], "charge")
        self.assertTrue(found["code.file.path"].endswith("metered.c"))
        self.assertEqual(set(found), {"sonde.site.name", "code.function.name", "code.file.path", "code.line.number"})
        errors = self.totals.points("sonde.site.errors", sonde_site_name="charge card")
        self.assertEqual([int(point["asInt"]) for point in errors], [100, 100])
        self.assertTrue(errors[0]["data"]["isMonotonic"])
        self.assertEqual(attributes(errors[0]), found)

    def test_a_site_in_deltas(self):
        first, second = self.deltas.points("sonde.site.duration", sonde_site_name="charge card")
        self.check_histogram(first, DELTA, FIRST)
        self.check_histogram(second, DELTA, SECOND)
        self.assertEqual(first["timeUnixNano"], second["startTimeUnixNano"])
        [errors] = self.deltas.points("sonde.site.errors", sonde_site_name="charge card")
        self.assertEqual((int(errors["asInt"]), errors["data"]["aggregationTemporality"]), (100, DELTA))

    def test_exact_whatever_is_sampled_out(self):
        _, exported, _, lost = self.sampled.accounts["parent", 0]
        self.assertLess(exported, 150)
        self.assertEqual(exported + lost, total(FIRST, SECOND) + 7)
        first, second = self.sampled.points("sonde.site.duration", sonde_site_name="charge card")
        self.check_histogram(first, CUMULATIVE, FIRST)
        self.check_histogram(second, CUMULATIVE, FIRST, SECOND)
        self.assertEqual(int(self.sampled.points("sonde.site.errors", sonde_site_name="charge card")[-1]["asInt"]), 100)
        self.assertEqual(int(self.sampled.points("sonde.site.duration", otel_metric_overflow=True)[-1]["count"]), 7)
        unsampled = self.sampled.points("sonde.records.lost", sonde_signal="span", sonde_loss="unsampled")[-1]
        self.assertEqual(int(unsampled["asInt"]), lost)
        self.assertEqual(int(self.sampled.points("otel.sdk.processor.span.processed")[-1]["asInt"]), exported)

    def test_timed_scopes_and_what_has_no_site(self):
        for run in (self.totals, self.deltas):
            self.assertEqual(int(run.points("sonde.site.duration", sonde_site_name="fraud check")[0]["count"]), 50)
            self.assertEqual(int(run.points("sonde.site.duration", otel_metric_overflow=True)[0]["count"]), 7)
            self.assertEqual(run.points("sonde.site.errors", sonde_site_name="fraud check"), [])

    def test_what_a_breaker_did(self):
        for run, rejections in ((self.totals, [3, 3]), (self.deltas, [3])):
            points = run.points("sonde.resilience.events", sonde_resilience_event="rejection")
            self.assertEqual([int(p["asInt"]) for p in points], rejections)
            self.assertEqual(attributes(points[0]), {
                "sonde.resilience.pattern": "breaker", "sonde.resilience.name": "payments",
                "sonde.resilience.event": "rejection", "error.type": "sonde_circuit_open"})
            points = run.points("sonde.breaker.state")
            self.assertEqual([int(p["asInt"]) for p in points], [1, 0])
            self.assertEqual(attributes(points[0]), {"sonde.resilience.name": "payments",
                                                     "sonde.breaker.state": "forced_open"})
            self.assertFalse(points[0]["data"].get("isMonotonic", False))
            # Its copy of the breaker is as its parent's was.
            [point] = run.points("sonde.breaker.state", run.child)
            self.assertEqual(int(point["asInt"]), 1)

    def test_a_child_counts_for_itself(self):
        for run, temporality in ((self.totals, CUMULATIVE), (self.deltas, DELTA)):
            [point] = run.points("sonde.site.duration", run.child, sonde_site_name="charge card")
            self.check_histogram(point, temporality, CHILD)
            first, second = run.points("sonde.site.duration", sonde_site_name="charge card")
            self.assertGreater(int(point["startTimeUnixNano"]), int(first["timeUnixNano"]))
            self.assertLess(int(point["startTimeUnixNano"]), int(second["timeUnixNano"]))
            ids = {attributes(p["of"]["resource"])["service.instance.id"] for p in (point, second)}
            self.assertEqual(len(ids), 2)
            self.assertEqual(run.points("sonde.site.errors", run.child), [])

    def test_figures_of_the_agent_are_its_accounts(self):
        spans, logs = self.totals.accounts["parent", 0], self.totals.accounts["parent", 1]
        self.assertEqual(spans[0], total(FIRST, SECOND) + 7)
        for name, value in (("processor.span.processed", spans[0]), ("exporter.span.exported", spans[1]),
                            ("processor.log.processed", logs[0]), ("exporter.log.exported", logs[1]),
                            ("log.created", logs[0]), ("processor.span.queue.size", 0), ("exporter.span.inflight", 0)):
            point = self.totals.points("otel.sdk." + name)[-1]
            self.assertEqual(int(point["asInt"]), value, name)
            self.assertEqual(point["data"]["aggregationTemporality"], CUMULATIVE)
            self.assertEqual(point["data"].get("isMonotonic", False), name[-4:] not in ("size", "ight"), name)
            deltas = self.deltas.points("otel.sdk." + name)
            if point["data"].get("isMonotonic"):
                self.assertEqual(sum(int(p["asInt"]) for p in deltas), value, name)
        component = attributes(self.totals.points("otel.sdk.exporter.span.exported")[0])
        self.assertEqual(component, {"otel.component.name": "otlp_http_span_exporter/0",
                                     "otel.component.type": "otlp_http_span_exporter"})
        self.assertEqual(self.totals.points("sonde.records.lost"), [])

    def test_where_no_metrics_are_taken_it_is_said_once(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SONDE_"))}
        environment["SONDE_STATE_DIRECTORY"] = "none"
        environment.update(OTEL_EXPORTER_OTLP_ENDPOINT=self.backends.jaeger_otlp_http, OTEL_LOGS_EXPORTER="none",
                           OTEL_METRIC_EXPORT_INTERVAL="20")
        done = subprocess.run([METERED], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0)
        for line in done.stderr.splitlines():
            self.assertRegex(line, r"^sonde: warning: otlp refused \d+ metric points for good: .*/v1/metrics answered 404, "
                                   r".*OTEL_METRICS_EXPORTER=none")
        self.assertEqual(len(done.stderr.splitlines()), 2, "the program and its child, once each")
        self.assertIn(f"parent 0 {total(FIRST, SECOND) + 7} {total(FIRST, SECOND) + 7} 0 0", done.stdout)

    def test_the_resource_is_that_of_the_spans(self):
        of_span = attributes(next(s for s in self.backends.spans() if s["name"] == "charge card")["resource"])
        of_metric = attributes(self.totals.points("sonde.site.duration")[0]["of"]["resource"])
        self.assertEqual({k: v for k, v in of_metric.items() if k in ("service.name", "telemetry.sdk.name", "host.name")},
                         {k: v for k, v in of_span.items() if k in ("service.name", "telemetry.sdk.name", "host.name")})
        self.assertEqual(self.totals.metrics[0]["scope"]["name"], "sonde")


if __name__ == "__main__":
    unittest.main(verbosity=1)
