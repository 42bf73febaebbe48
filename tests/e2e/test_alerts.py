# SPDX-License-Identifier: Apache-2.0
"""A service fails, and somebody is told: the example, the Collector, Prometheus, Alertmanager, a receiver.

What fires when, in the rules' own time, is promtool's business (test_alert_rules.py). Here is the chain: that
what arrives says which service, which error and what it said, leads to the trace, and ends.
"""
import concurrent.futures
import filecmp
import json
import os
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from checkout import Load, Service, backends  # noqa: E402

import alerting  # noqa: E402

SOON = 60  # What is promised between the failure and the alert.


def is_alert(status, **labels):
    wanted = labels.items()
    return lambda alert: alert["status"] == status and wanted <= alert["labels"].items()


class Chain(unittest.TestCase):
    maxDiff = None
    options = {}

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sonde-e2e-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.a = alerting.Alerting(self.folder, **self.options)
        self.a.start()
        self.addCleanup(self.a.stop)

    def firing(self, seconds=SOON, **labels):
        return self.a.receiver.wait_for(f"firing: {labels}", is_alert("firing", **labels), seconds)

    def resolved(self, seconds=SOON, **labels):
        return self.a.receiver.wait_for(f"resolved: {labels}", is_alert("resolved", **labels), seconds)

    def follow(self, link):
        """The ids of the traces that Jaeger's page would show, asked of the API that the page asks."""
        self.assertTrue(link.startswith(self.a.jaeger_query + "/search?"), link)
        found = json.loads(backends.request(link.replace("/search?", "/api/traces?")))
        return {trace["traceID"] for trace in found["data"]}

    def service(self, **settings):
        options = {"fail_every": 2, "slow_every": 7, "OTEL_METRIC_EXPORT_INTERVAL": 1000, **settings}
        service = Service(self.folder, self.a.otlp_http, **options)
        self.addCleanup(service.__exit__)
        return service

    def load(self, service, rate=10, seconds=4):
        load = Load(self.folder, service.checkout.port, rate, seconds)
        self.addCleanup(load.child.wait)
        self.addCleanup(load.child.kill)
        return load


class AsShipped(Chain):
    """The rules to the letter; only asked every second."""

    options = {"quick": True}

    def test_a_new_error_is_told_within_a_minute(self):
        rules = os.path.join(backends.HERE, "prometheus/rules")
        same, *others = filecmp.cmpfiles(rules, os.path.join(self.folder, "prometheus/rules"), os.listdir(rules), False)
        self.assertEqual((len(same), others), (len(os.listdir(rules)), [[], []]))
        service = self.service()
        load = self.load(service)
        alert = self.firing(alertname="NewError", service_name="checkout", error_type="order_not_paid")
        self.assertEqual(alert["labels"]["severity"], "warning")
        self.assertNotIn("jaeger_url", alert["labels"])
        said = alert["annotations"]
        self.assertEqual(said["message"], "order # was not paid")
        self.assertEqual(said["error_type"], "order_not_paid")
        load.figures()
        failed = {trace_id for trace_id, _, status in load.orders() if status == 409}
        found = self.follow(said["link"])
        self.assertTrue(found)
        self.assertLessEqual(found, failed)
        self.check_what_people_read(said["link"])
        self.firing(alertname="NewError", service_name="payment", error_type="card_declined")

    def check_what_people_read(self, link):
        message = backends.wait_until("the message for people", 10, lambda: next(
            (m for m in self.a.receiver.messages if "order_not_paid" in m["attachments"][0]["text"]), None))
        [shown] = message["attachments"]
        self.assertEqual(shown["title"], "checkout: new error order_not_paid")
        self.assertEqual(shown["title_link"], link)
        for line in ("Service: checkout", "Error type: order_not_paid", "Message: order # was not paid",
                     "Traces: " + link):
            self.assertIn(line, shown["text"].split("\n"))


class SixtyTimesAsFast(Chain):
    """The same rules with all durations divided by 60: an hour passes in a minute."""

    options = {"scale": 60}

    def test_alerts_come_and_go(self):
        # A declined card is an error to know of, but no failure of the service's: the bank's silence is.
        load = self.load(self.service(fail_every=0, break_every=2), rate=10, seconds=12)
        labels = {"service_name": "checkout"}
        new = dict(labels, alertname="NewError", error_type="payment_unreachable")
        burn = dict(labels, alertname="ErrorBudgetBurn", severity="page", window="1h")
        slow = dict(labels, alertname="SlowOperation", sonde_slow_operation_name="orders report query")
        self.firing(**new)
        alert = self.firing(**burn)
        self.assertEqual(alert["annotations"]["error_type"], "payment_unreachable")
        self.assertEqual(alert["annotations"]["message"], "order # was not paid")
        self.assertTrue(self.follow(alert["annotations"]["link"]))
        self.assertTrue(self.follow(self.firing(**slow)["annotations"]["link"]))
        load.figures()
        for labels in (new, burn, slow):
            self.resolved(**labels)


if __name__ == "__main__":
    unittest.main(verbosity=2)
