#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A million errors that are all alike, seen from the collector: a handful of events, and every one counted.

The service is the first argument. What it sends is decoded by OpenTelemetry's own classes.
"""
import collections
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import pypi  # noqa: E402

pypi.become("opentelemetry-proto==1.45.2", "protobuf==7.36.2")

import hostile_collector as hostile  # noqa: E402
from fault import WRAP, FaultCase  # noqa: E402
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest  # noqa: E402
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: E402
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: E402

HOST = sys.argv.pop(1)
IS_PLAIN = os.environ.get("SONDE_SANITIZE", "none") == "none" and not WRAP
ERRORS = 1_000_000 if IS_PLAIN else 50_000
KINDS = {"/v1/logs": ExportLogsServiceRequest, "/v1/metrics": ExportMetricsServiceRequest,
         "/v1/traces": ExportTraceServiceRequest}


def attributes(holder):
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in holder.attributes}


class Sent:
    """What one run of the service sent, and what it says of itself."""

    def __init__(self, requests, output):
        self.logs, self.spans, self.points = [], [], []
        for request in requests:
            message = KINDS[request.path]()
            message.ParseFromString(request.message_bytes())
            if request.path == "/v1/logs":
                self.logs += [r for b in message.resource_logs for s in b.scope_logs for r in s.log_records]
            elif request.path == "/v1/traces":
                self.spans += [r for b in message.resource_spans for s in b.scope_spans for r in s.spans]
            else:
                self.points += [(m.name, attributes(p), p) for b in message.resource_metrics
                                for s in b.scope_metrics for m in s.metrics
                                for p in getattr(m, m.WhichOneof("data")).data_points]
        self.accounts, self.lost, self.made = {}, collections.Counter(), {}
        for line in output.splitlines():
            what, *words = line.split()
            if what == "account":
                self.accounts[int(words[0])] = dict(zip(("captured", "exported", "queued", "lost"),
                                                        map(int, words[1:])))
            elif what == "lost":
                self.lost[int(words[0]), words[1]] = int(words[2])
            else:
                self.made[words[0]] = (int(words[1]), words[2], int(words[3]))

    def last(self, name):
        """The newest point of each series."""
        newest = {}
        for metric, labels, point in self.points:
            key = tuple(sorted(labels.items()))
            if metric == name and (key not in newest or point.time_unix_nano >= newest[key][1].time_unix_nano):
                newest[key] = (labels, point)
        return [(labels, point.as_int) for labels, point in newest.values()]

    def added(self, name):
        """All points of each series together: for deltas."""
        sums = collections.Counter()
        for metric, labels, point in self.points:
            if metric == name:
                sums[tuple(sorted(labels.items()))] += point.as_int
        return [(dict(key), n) for key, n in sums.items()]


class FloodCase(FaultCase):
    def flood(self, errors=ERRORS, threads=1, quiet=0, behave=hostile.answer(200), **settings):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SONDE_"))}
        with hostile.Collector(behave) as collector:
            environment.update(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, SONDE_BOX_DIRECTORY=self.box_directory(),
                               SONDE_STATE_DIRECTORY=self.folder, **settings)
            done = subprocess.run([*WRAP, HOST, str(errors), str(threads), str(quiet)], env=environment, timeout=100,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.diagnostics = done.stderr
            sent = Sent(collector.requests, done.stdout)
        for account in sent.accounts.values():
            self.assertEqual(account["captured"], account["exported"] + account["queued"] + account["lost"])
        return sent

    def check_counts(self, sent, told):
        """Exact by type and place; by fingerprint but for what never reached the pipeline."""
        found = {labels["error.type"]: (labels["code.line.number"], labels["code.function.name"], n)
                 for labels, n in told("sonde.errors")}
        self.assertEqual(found, {name: made for name, made in sent.made.items() if made[2]})
        for labels, _ in told("sonde.errors"):
            self.assertEqual(os.path.basename(labels["code.file.path"]), "flood_host.c")
        grouped = told("sonde.errors.grouped")
        self.assertTrue(all(len(labels["sonde.error.fingerprint"]) == 16 for labels, _ in grouped))
        before = sum(n for (signal, reason), n in sent.lost.items() if signal == 1 and reason != "limited")
        self.assertEqual(sum(n for _, n in grouped) + before, sum(made[2] for made in sent.made.values()))
        return grouped

    def check_events(self, sent, at_most):
        """What was sent and what was said to be held back are all that reached the pipeline."""
        events = [log for log in sent.logs if log.event_name == "exception"]
        summaries = [log for log in events if "sonde.error.count" in attributes(log)]
        self.assertLessEqual(len(events), at_most)
        self.assertEqual(sum(attributes(log)["sonde.error.count"] for log in summaries), sent.lost[1, "limited"])
        return events, summaries


class Flood(FloodCase):
    def test_a_million_errors_are_a_handful(self):
        for threads in (1, 4):
            with self.subTest(threads=threads):
                sent = self.flood(threads=threads)
                grouped = self.check_counts(sent, sent.last)
                self.assertEqual(len(grouped), 1)
                events, summaries = self.check_events(sent, at_most=30)
                self.assertGreaterEqual(len(events) - len(summaries), 10)
                self.assertEqual(len(summaries), 1)
                # Each error was captured twice: the second time is a part, whatever became of it.
                self.assertEqual(sent.accounts[2]["captured"], ERRORS)
                summary = attributes(summaries[0])
                self.assertEqual(summary["exception.message"], "the gateway does not answer")
                self.assertEqual({attributes(log)["sonde.error.fingerprint"] for log in events},
                                 {grouped[0][0]["sonde.error.fingerprint"]})
                self.assertEqual({attributes(log)["exception.type"] for log in events}, {"gateway_down"})
                self.assertLessEqual(sum(len(log.SerializeToString()) for log in sent.logs), 200_000)

    def test_nothing_is_said_for_each_event(self):
        sent = self.flood(errors=100_000)
        self.assertLessEqual(len(self.diagnostics.splitlines()), 8, self.diagnostics)
        self.check_counts(sent, sent.last)

    def test_sampling_changes_no_count(self):
        sent = self.flood(errors=20_000, quiet=50, OTEL_TRACES_SAMPLER="always_off", SONDE_MEMORY_LIMIT="64MiB")
        self.assertEqual(len(self.check_counts(sent, sent.last)), 2)

    def test_deltas_add_up(self):
        sent = self.flood(quiet=20, threads=2, OTEL_METRIC_EXPORT_INTERVAL="50",
                          OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta")
        self.assertGreater(len([p for p in sent.points if p[0] == "sonde.errors"]), 2)
        self.check_counts(sent, sent.added)

    def test_a_quiet_error_is_heard_in_a_flood(self):
        # Big enough that the flood alone does not fill the box.
        sent = self.flood(threads=2, quiet=5, SONDE_MEMORY_LIMIT="64MiB")
        self.check_counts(sent, sent.last)
        heard = [log for log in sent.logs if attributes(log).get("exception.type") == "row_missing"]
        if not sent.lost[1, "ring_full"]:
            self.assertEqual(len(heard), 5)
        events = [event for span in sent.spans for event in span.events if event.name == "exception"]
        self.assertLessEqual(len(events), 5)

    def test_the_limits_can_be_set_and_lifted(self):
        sent = self.flood(errors=2000, SONDE_ERROR_BURST="3", SONDE_ERROR_RATE="1")
        events, _ = self.check_events(sent, at_most=4)
        self.assertEqual(len(events), 4)
        sent = self.flood(errors=2000, SONDE_ERROR_LIMIT="off", SONDE_MEMORY_LIMIT="64MiB")
        self.assertEqual(sent.lost[1, "limited"], 0)
        events, _ = self.check_events(sent, at_most=2000)
        self.assertEqual(len(events), 2000)
        # Each was captured again: that is said within, or apart, and counted as no error.
        again = [log for log in sent.logs if log.event_name == "sonde.error.again"]
        within = sum(attributes(log)["exception.stacktrace"].count("captured again: gateway_down") for log in events)
        self.assertEqual(len(again) + within, 2000)
        self.assertEqual({attributes(log)["error.type"] for log in again} | {"gateway_down"}, {"gateway_down"})
        self.assertLessEqual({attributes(log)["sonde.error.id"] for log in again},
                             {attributes(log)["sonde.error.id"] for log in events})
        sent = self.flood(errors=2000, SONDE_ERROR_RATE="0", SONDE_ERROR_TOTAL_RATE="0", SONDE_MEMORY_LIMIT="64MiB")
        self.assertEqual(len(self.check_events(sent, at_most=2000)[0]), 2000)

    def test_a_collector_that_refuses_changes_no_count_within(self):
        def behave(connection):
            is_metrics = connection.read_request().path == "/v1/metrics"
            connection.send(hostile.response(200 if is_metrics else 400))

        sent = self.flood(errors=50_000, behave=behave)
        before = sum(n for (signal, reason), n in sent.lost.items()
                     if signal == 1 and reason not in ("limited", "refused"))
        self.assertEqual([n for _, n in sent.last("sonde.errors")], [50_000])
        self.assertEqual(sum(n for _, n in sent.last("sonde.errors.grouped")) + before, 50_000)


if __name__ == "__main__":
    unittest.main()
