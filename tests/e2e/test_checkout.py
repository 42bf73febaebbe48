# SPDX-License-Identifier: Apache-2.0
"""A real service under load, seen in a real Jaeger behind a real Collector; then without a Collector."""
import os
import random
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from checkout import Load, Service, backends, by_trace, service_of, values  # noqa: E402

LOAD_SECONDS = int(os.environ.get("SONDE_LOAD_SECONDS", "30"))
OUTAGE_SECONDS = int(os.environ.get("SONDE_OUTAGE_SECONDS", "90"))
RATE = 550


class Checkout(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sonde-e2e-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def check_trace(self, spans, order, status):
        """The shape of one order's trace over both processes."""
        names = {(service_of(s), s["name"]): s for s in spans}
        server = names[("checkout", "POST /orders")]
        place = names[("checkout", "place order")]
        client = names[("checkout", "POST /charges")]
        charge = names[("payment", "POST /charges")]
        authorize = names[("payment", "authorize card")]
        for child, parent in ((place, server), (client, place), (charge, client), (authorize, charge)):
            self.assertEqual(child["parentSpanId"], parent["spanId"], f"order {order}")
            self.assertGreaterEqual(int(child["startTimeUnixNano"]), int(parent["startTimeUnixNano"]) - 100_000)
        self.assertEqual((server["kind"], client["kind"], charge["kind"]), (2, 3, 2))
        self.assertEqual(values(place)["order.id"], str(order))
        self.assertEqual(values(server)["http.response.status_code"], str(status))
        self.assertEqual(("checkout", "INSERT orders") in names, status == 201)
        # A client's mistake is no failure of the server's span; of those that could not go on it is.
        failed = {span["name"] for span in (server, place, client) if span.get("status", {}).get("code", 0) == 2}
        self.assertEqual(failed, set() if status == 201 else {"place order", "POST /charges"}, f"order {order}")
        self.assertEqual(len(spans), len({s["spanId"] for s in spans}), "a span came twice")

    def check_all(self, loads, spans):
        traces = by_trace(spans)
        n = 0
        for load in loads:
            for trace_id, order, status in load.orders():
                self.assertIn(status, (201, 409), f"order {order}")
                self.assertIn(trace_id, traces, f"the trace of order {order} is not there")
                self.check_trace(traces[trace_id], order, status)
                n += 1
        return n

    def check_error_in_jaeger(self, b, trace_id, order):
        trace = b.wait_for_trace(trace_id, 10, spans=5)
        place = next(s for s in trace["spans"] if s["operationName"] == "place order")
        tags = {tag["key"]: tag["value"] for tag in place["tags"]}
        self.assertIs(tags["error"], True)
        self.assertEqual(tags["error.type"], "order_not_paid")
        fields = {field["key"]: field["value"] for log in place["logs"] for field in log["fields"]}
        self.assertEqual(fields["event"], "exception")
        self.assertEqual(fields["exception.type"], "order_not_paid")
        self.assertEqual(fields["exception.message"], f"order {order} was not paid")
        self.assertIn("caused by: payment_declined: the card was declined", fields["exception.stacktrace"])
        self.assertIn("gateway_charge", fields["exception.stacktrace"])
        self.assertEqual({p["serviceName"] for p in trace["processes"].values()}, {"checkout", "payment"})
        # The load's own span, the parent of the first, is not exported by anybody.
        warnings = [w for s in trace["spans"] for w in s.get("warnings") or [] if "invalid parent span IDs" not in w]
        self.assertEqual(warnings, [])

    def check_slow_in_jaeger(self, b, trace_id):
        trace = b.wait_for_trace(trace_id, 10, spans=6)
        slow = next(s for s in trace["spans"] if s["operationName"] == "SELECT orders")
        tags = {tag["key"]: tag["value"] for tag in slow["tags"]}
        self.assertEqual(tags["sonde.slow_operation.name"], "orders report query")
        self.assertGreaterEqual(float(tags["sonde.slow_operation.duration"]), 1.2)
        self.assertGreaterEqual(slow["duration"], 1_200_000)

    def check_logs(self, b, declined, slow):
        logs = by_trace(b.log_records())
        record = next(r for r in logs[declined[0]] if service_of(r) == "checkout")
        self.assertEqual(record["eventName"], "exception")
        self.assertEqual(values(record)["exception.type"], "order_not_paid")
        self.assertEqual(record["severityNumber"], 13)
        self.assertTrue(record["spanId"])
        bodies = [r["body"]["stringValue"] for r in logs[slow[0]]]
        self.assertEqual(len(bodies), 1)
        self.assertRegex(bodies[0], r"^Slow operation: orders report query took 1\.\d{3}s$")

    def test_every_order_is_a_trace(self):
        with backends.Backends(self.folder) as b:
            with Service(self.folder, b.otlp_http) as service:
                load = Load(self.folder, service.checkout.port, RATE, LOAD_SECONDS)
                figures = load.figures()
                print(figures)
                rss = service.checkout.rss_kib()
            self.assertEqual(service.statuses, [0, 0])
            self.assertGreaterEqual(figures["rate"], 500)
            self.assertEqual(figures["failed"], 0)
            self.assertLess(rss, 64 * 1024)
            self.assertEqual(service.said(), "", "something was said though nothing was wrong")
            self.assertEqual(self.check_all([load], b.spans()), RATE * LOAD_SECONDS)
            orders = load.orders()
            declined = next(o for o in orders if o[1] % 10 == 0 and o[1] % 1000)
            self.check_error_in_jaeger(b, declined[0], declined[1])
            for trace_id, order, status in random.sample(orders, 20):
                names = {s["operationName"] for s in b.wait_for_trace(trace_id, 10, spans=5)["spans"]}
                self.assertIn("authorize card", names, f"order {order}")

    def test_slow_orders_are_named(self):
        with backends.Backends(self.folder) as b:
            with Service(self.folder, b.otlp_http, fail_every=10, slow_every=7) as service:
                load = Load(self.folder, service.checkout.port, 20, 1)
                load.figures()
            self.assertEqual(self.check_all([load], b.spans()), 20)
            orders = load.orders()
            slow, declined = orders[6], orders[9]
            self.check_slow_in_jaeger(b, slow[0])
            self.check_error_in_jaeger(b, declined[0], declined[1])
            self.check_logs(b, declined, slow)

    def test_an_outage_loses_nothing(self):
        with backends.Backends(self.folder) as b:
            with Service(self.folder, b.otlp_http, slow_every=0, SONDE_MEMORY_LIMIT="48MiB", SONDE_RETRY_MAX=2000,
                         SONDE_BREAKER_RESET=3000) as service:
                before = Load(self.folder, service.checkout.port, 100, 10)
                up = before.figures()
                b.collector.stop()
                ended = time.monotonic() + OUTAGE_SECONDS
                during = Load(self.folder, service.checkout.port, 100, OUTAGE_SECONDS, first_order=100_000)
                down = during.figures()
                self.assertGreaterEqual(time.monotonic(), ended - 1)
                b.collector.start()
                after = Load(self.folder, service.checkout.port, 100, 5, first_order=200_000)
                after.figures()
                backends.wait_until("the outage's traces", 60,
                                    lambda: len(by_trace(b.spans())) >= 100 * (15 + OUTAGE_SECONDS))
            print(up, down)
            n = self.check_all([before, during, after], b.spans())
            self.assertEqual(n, 100 * (15 + OUTAGE_SECONDS))
            self.assertEqual(down["failed"], 0)
            self.assertLess(down["p50_us"], 3 * up["p50_us"] + 1000)
            self.assertLess(down["p99_us"], 5 * up["p99_us"] + 20_000)
            for said in (service.checkout.said(), service.payment.said()):
                self.assertEqual(said.count("nothing listens"), 2, said)  # Once for each of the two signals.
                self.assertNotIn("lost", said)


if __name__ == "__main__":
    unittest.main()
