# SPDX-License-Identifier: Apache-2.0
"""A service fails, and somebody is told: the example, the Collector, Prometheus, Alertmanager, a receiver.

What fires when, in the rules' own time, is promtool's business (test_alert_rules.py). Here is the chain: that
what arrives says which service, which error and what it said, leads to the trace, and ends.
"""
import concurrent.futures
import filecmp
import itertools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from checkout import Load, Process, Service, backends  # noqa: E402

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
        service = self.service(SONDE_WEBHOOK_URL=self.a.receiver.url("/sonde"), SONDE_WEBHOOK_FORMAT="generic",
                               SONDE_TRACE_URL=self.a.jaeger_query + "/trace/{trace_id}")
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
        self.check_what_the_service_tells_itself(alert["labels"]["sonde_error_fingerprint"], failed)
        self.firing(alertname="NewError", service_name="payment", error_type="card_declined")

    def check_what_the_service_tells_itself(self, fingerprint, failed):
        """The webhook of the service, which needs none of all this: the same error, and the very trace."""
        errors = [error for message in self.a.receiver.others if message["service"] == "checkout"
                  for error in message["errors"] if error["type"] == "order_not_paid"]
        [error] = errors
        self.assertEqual((error["fingerprint"], error["first_seen"]), (fingerprint, True))
        self.assertIn(error["trace_id"], failed)
        self.assertEqual(error["trace_url"], f"{self.a.jaeger_query}/trace/{error['trace_id']}")
        trace = self.a.wait_for_trace(error["trace_id"], 10, spans=5)
        fields = [{field["key"]: field["value"] for field in log["fields"]}
                  for span in trace["spans"] for log in span.get("logs") or []]
        new = [event for event in fields if event.get("sonde.error.first_seen")]
        self.assertIn(fingerprint, [event["sonde.error.fingerprint"] for event in new])

    def check_what_people_read(self, link):
        message = backends.wait_until("the message for people", 10, lambda: next(
            (m for m in self.a.receiver.messages if "order_not_paid" in m["attachments"][0]["text"]), None))
        [shown] = message["attachments"]
        self.assertEqual(shown["title"], "checkout: new error order_not_paid")
        self.assertEqual(shown["title_link"], link)
        for line in ("Service: checkout", "Error type: order_not_paid", "Message: order # was not paid",
                     "Traces: " + link):
            self.assertIn(line, shown["text"].split("\n"))


def spans_request(service, messages):
    """An export of failed spans, one a message, each with its exception, in OTLP/JSON."""
    now = time.time_ns()

    def attributes(**pairs):
        return [{"key": key.replace("_", "."), "value": {"stringValue": value}} for key, value in pairs.items()]

    spans = [{"traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": "GET /", "kind": 2,
              "startTimeUnixNano": str(now - 5_000_000), "endTimeUnixNano": str(now), "status": {"code": 2},
              "events": [{"name": "exception", "timeUnixNano": str(now),
                          "attributes": attributes(exception_type="io", exception_message=message)}]}
             for message in messages]
    return {"resourceSpans": [{"resource": {"attributes": attributes(service_name=service, host_name="h")},
                               "scopeSpans": [{"scope": {"name": "by hand"}, "spans": spans}]}]}


class Collector(unittest.TestCase):
    """What becomes of spans on the way to Prometheus."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="sonde-e2e-")
        cls.addClassCleanup(folder.cleanup)
        port = backends.free_ports(["COLLECTOR_PROMETHEUS_PORT"])
        cls.url = "http://127.0.0.1:%d/metrics" % port["COLLECTOR_PROMETHEUS_PORT"]
        cls.b = backends.Backends(folder.name, overlays=[alerting.ALERTS_OVERLAY], environment={
            "COLLECTOR_METRICS_INTERVAL": "1s", **{name: str(n) for name, n in port.items()}})
        cls.b.start()
        cls.addClassCleanup(cls.b.stop)

    def series(self, name, service):
        """Of each series of a service its labels as they stand there, and its value."""
        text = backends.request(self.url).decode()
        lines = [line for line in text.split("\n") if line.startswith(name + "{") and f'service_name="{service}"' in line]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    def wait_for_count(self, service, n):
        try:
            return backends.wait_until(f"{n} exceptions of {service}", 20, lambda: (
                lambda found: found if sum(found.values()) == n else None)(self.series("exceptions_total", service)))
        except TimeoutError:
            self.fail(self.series("exceptions_total", service))

    def messages(self, service, *messages):
        """What becomes of them as labels."""
        backends.post_json(self.b.otlp_http + "/v1/traces", spans_request(service, messages))
        found = self.wait_for_count(service, len(messages))
        return {line.split('exception_message="')[1].split('",exception_type')[0]: n for line, n in found.items()}

    def test_many_senders_at_once_are_counted_and_survived(self):
        pid = self.b.collector.pid

        # Every message is a series of its own: it is adding one that the connector does not do safely.
        words = ["".join(letters) for letters in itertools.product("abcdefghij", repeat=4)]
        bodies = [json.dumps(spans_request("many", words[i::20])).encode() for i in range(20)]

        def send(body):
            backends.request(self.b.otlp_http + "/v1/traces", body, {"Content-Type": "application/json"}, timeout=30)

        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            for sent in [pool.submit(send, body) for body in bodies]:
                sent.result()
        self.assertEqual(set(self.wait_for_count("many", len(words)).values()), {1})
        self.assertEqual(self.b.collector.pid, pid)

    def test_a_message_becomes_its_shape(self):
        for message, shape in {
                "order 17 was not paid": "order # was not paid",
                "GET http://pay:8080/charge/17?card=4111 answered 502": "GET http://pay:#/# answered #",
                "no user 'bob'": "no user '#'", 'no user "bob"': r'no user \"#\"',
                "no user bob@example.com here": "no user #@# here",
                "0f8fad5b-d9cb-469f-a165-70867728950e is unknown": "# is unknown",
                "0x7ffd1234 and deadbeefcafe, 10.0.0.1:80": "# and #, #",
                "can't open what isn't there": "can't open what isn't there",
                "two\nlines\tand  more": "two lines and more", "": ""}.items():
            with self.subTest(message):
                self.assertEqual(self.messages(os.urandom(4).hex(), message), {shape: 1})

    def test_ten_thousand_messages_are_one_series(self):
        messages = [f"order {i} of customer {os.urandom(8).hex()} was not paid" for i in range(10_000)]
        self.assertEqual(self.messages("flood", *messages), {"order # of customer # was not paid": 10_000})

    def test_a_long_message_is_cut_between_letters(self):
        for text in ("x" + "\u00e9" * 200, "xx" + "\u20ac" * 200, "\U0001f600" * 50, "x" * 1_000_000):
            [(found, n)] = self.messages(os.urandom(4).hex(), text).items()
            self.assertEqual(n, 1)
            self.assertTrue(text.startswith(found))
            self.assertIn(len(found.encode()), range(157, 161))

    def test_what_is_no_text_spoils_nothing_else(self):
        body = json.dumps(spans_request("bad", ["BAD text"]), ensure_ascii=False).encode().replace(b"BAD", b"\xff\xfe")
        try:
            backends.request(self.b.otlp_http + "/v1/traces", body, {"Content-Type": "application/json"})
        except OSError:
            pass  # It may refuse it as well.
        self.assertEqual(self.messages("good", "still there"), {"still there": 1})

    def test_a_process_is_no_label_of_a_span(self):
        backends.post_json(self.b.otlp_http + "/v1/traces", spans_request("one", ["m"]))
        found = backends.wait_until("calls", 20, lambda: self.series("traces_span_metrics_calls_total", "one"))
        self.assertEqual(len(found), 1)
        for line in found:
            self.assertNotIn("host_name", line)

    def test_the_default_port_is_that_of_the_configuration_file(self):
        with open(alerting.ALERTS_OVERLAY) as file:
            self.assertIn("COLLECTOR_PROMETHEUS_PORT:-%d}" % alerting.PORTS["COLLECTOR_PROMETHEUS_PORT"], file.read())


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
        # Enough of one error to be held back, and not one of them is missing from what alerts stand on.
        failed = sum(status >= 500 for _, _, status in load.orders())
        self.assertGreater(failed, 50)
        for counter in ('traces_span_metrics_calls_total{span_name="POST /orders",status_code="STATUS_CODE_ERROR"}',
                        'sonde_errors_grouped_total{service_name="checkout"}', 'sonde_errors_total{service_name="checkout"}'):
            backends.wait_until(f"{failed}: {counter}", 20, lambda: [
                float(r["value"][1]) for r in self.a.query(f"sum({counter})")] == [failed])
        held_back = self.a.query('sum(sonde_records_lost_total{service_name="checkout",sonde_loss="limited"})')
        self.assertGreater(float(held_back[0]["value"][1]), 0)
        for labels in (new, burn, slow):
            self.resolved(**labels)

    def test_losses_a_collector_that_is_away_and_a_service_that_is_silent(self):
        # Alertmanager has no such page, and says so: the spans are refused for good.
        service = self.service(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=self.a.alertmanager_url + "/nowhere", fail_every=0,
                               slow_every=0)
        self.load(service).figures()
        lost = dict(alertname="RecordsLost", service_name="checkout", sonde_signal="span", sonde_loss="refused")
        self.firing(**lost)
        self.a.collector.stop()
        self.firing(alertname="CollectorDown", severity="page")
        service.__exit__()
        self.a.collector.start()
        self.resolved(alertname="CollectorDown")
        self.resolved(**lost)
        # It was there within the last hour, which is a minute here, and then it is forgotten.
        self.firing(alertname="ServiceSilent", service_name="checkout")
        self.resolved(alertname="ServiceSilent", service_name="checkout", seconds=120)
        names = {alert["labels"]["alertname"] for alert in self.a.receiver.alerts()}
        self.assertEqual(names, {"RecordsLost", "CollectorDown", "ServiceSilent"})

    def query(self, expression):
        return self.a.query(re.sub(r"\$__rate_interval", "8s", expression.replace("$__range", "1m")
                                   .replace("$service", ".*")))

    def keep_asking(self, threads=32, seconds=5):
        """The example of retries, breakers and bulkheads, again and again until the test ends."""
        command = [os.environ["SONDE_RESILIENT"], f"--seconds={seconds}", f"--threads={threads}"]
        settings = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": self.a.otlp_http,
                    "OTEL_METRIC_EXPORT_INTERVAL": "1000", "SONDE_STATE_DIRECTORY": os.path.join(self.folder, "state")}
        is_over = threading.Event()

        def run():
            while not is_over.is_set():
                subprocess.run(command, env=settings, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, timeout=120, check=True)

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(is_over.set)

    def test_rules_and_dashboard_ask_for_what_there_is(self):
        self.load(self.service(), rate=20, seconds=120)  # It ends with the test.
        self.keep_asking()
        lossy = Process(self.folder, "payment", ["--fail-every", "1"], {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.a.otlp_http, "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": self.a.alertmanager_url + "/nowhere"})
        self.addCleanup(lossy.stop)
        with self.assertRaises(OSError):
            backends.request(f"http://127.0.0.1:{lossy.port}/charges?order=1", b"")
        self.firing(alertname="RecordsLost", sonde_loss="refused")
        self.firing(alertname="SlowOperation")
        with open(os.path.join(backends.HERE, "grafana/dashboards/sonde.json")) as file:
            panels = [panel for panel in json.load(file)["panels"] if panel["type"] != "row"]
        for title, expression in [(p["title"], t["expr"]) for p in panels for t in p["targets"]]:
            with self.subTest(title):
                backends.wait_until(f"data for {expression}", 20, lambda: any(
                    math.isfinite(float(r["value"][1])) for r in self.query(expression)))
        known = set(self.a.prometheus_api("label/__name__/values"))
        for group in self.a.prometheus_api("rules")["groups"]:
            for rule in group["rules"]:
                self.assertEqual((rule["health"], rule.get("lastError", "")), ("ok", ""), rule["name"])
                bare = re.sub(r'"[^"]*"|\{[^}]*\}|by ?\([^)]*\)', "", rule["query"])
                asked = set(re.findall(r"\b(?:sonde|traces|exceptions|otel|up)[a-zA-Z0-9_:]*", bare))
                self.assertTrue(asked, rule["query"])
                self.assertLessEqual(asked, known, rule["name"])

    def test_nothing_is_left(self):
        services = self.a._services()
        pids = [service.pid for service in services]
        self.assertEqual(len(set(pids)), 4)
        self.a.stop()
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.assertFalse([port for port in self.a.ports.values() if backends.is_taken(port)])


class Command(unittest.TestCase):
    def test_it_runs_a_command_with_the_addresses_and_returns_its_status(self):
        command = ('echo "$OTEL_EXPORTER_OTLP_ENDPOINT $JAEGER_QUERY_URL $PROMETHEUS_URL $ALERTMANAGER_URL"; '
                   'dirname "$ALERTS_FILE"; exit 7')
        done = subprocess.run([os.path.join(backends.HERE, "backends"), "alerts", "--free-ports", "--quick", "--", "sh",
                               "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(done.returncode, 7)
        addresses, folder = done.stdout.splitlines()[-2:]
        ports = re.findall(r"http://127\.0\.0\.1:(\d+)", addresses)
        self.assertEqual(len(set(ports)), 4, addresses)
        self.assertFalse([port for port in ports if backends.is_taken(int(port))])
        self.assertFalse(os.path.exists(folder))


if __name__ == "__main__":
    unittest.main(verbosity=2)
