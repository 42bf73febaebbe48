# SPDX-License-Identifier: Apache-2.0
"""Every file of deploy/ that is about alerts, by the tools of those who read them: promtool, amtool, the Collector.

The rules are run over virtual time: rules/*.yaml beside this say when each alert fires, when not, and when it ends.
"""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from checkout import ROOT, backends  # noqa: E402

import alerting  # noqa: E402

DEPLOY = os.path.join(ROOT, "deploy")
RULES = sorted(glob.glob(os.path.join(DEPLOY, "prometheus/rules/*.yaml")))
RULE_TESTS = sorted(glob.glob(os.path.join(ROOT, "tests/e2e/rules/*.yaml")))


class Tools(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        binaries = backends.build("collector", "prometheus", "alertmanager")
        cls.collector = binaries["collector"]
        cls.promtool = os.path.join(os.path.dirname(binaries["prometheus"]), "promtool")
        cls.amtool = os.path.join(os.path.dirname(binaries["alertmanager"]), "amtool")
        folder = tempfile.TemporaryDirectory(prefix="sonde-e2e-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name

    def run_tool(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path


class Files(Tools):
    def test_prometheus_takes_its_files(self):
        self.run_tool(self.promtool, "check", "config", os.path.join(DEPLOY, "prometheus/prometheus.yaml"))
        self.run_tool(self.promtool, "check", "rules", "--lint=all", "--lint-fatal", *RULES)

    def test_alertmanager_takes_its_files(self):
        said = self.run_tool(self.amtool, "check-config", os.path.join(DEPLOY, "alertmanager/alertmanager.yaml"))
        self.assertIn("1 templates", said)

    def test_the_collector_takes_its_files(self):
        self.run_tool(self.collector, "validate", "--config=" + os.path.join(DEPLOY, "collector/collector.yaml"),
                      "--config=" + os.path.join(DEPLOY, "collector/alerts.yaml"))

    def test_the_rules_over_time(self):
        self.assertEqual([os.path.basename(p) for p in RULE_TESTS if "memory" not in p],
                         [os.path.basename(p) for p in RULES])
        for path in RULE_TESTS:
            with self.subTest(os.path.basename(path)), open(path) as file:
                text = file.read().replace("RULES", os.path.join(DEPLOY, "prometheus/rules"))
                self.run_tool(self.promtool, "test", "rules", self.write(os.path.basename(path), text))

    def test_every_alert_is_tested_and_says_what_to_do(self):
        tested = "".join(open(path).read() for path in RULE_TESTS)
        for path in RULES:
            with open(path) as file:
                text = file.read()
            for alert in re.split(r"^\s*- alert: ", text, flags=re.MULTILINE)[1:]:
                name = alert.split("\n")[0]
                self.assertIn(f"alertname: {name}\n", tested)
                for key in ("severity", "summary", "description", "runbook"):
                    self.assertRegex(alert, rf"(?m)^\s+{key}: \S", f"{name} in {path}")

    def test_sixty_times_as_fast_is_the_same_rules(self):
        for path in RULES:
            with open(path) as file:
                text = file.read()
            fast = alerting.scaled(text, 60)
            self.run_tool(self.promtool, "check", "rules", self.write("fast.yaml", fast))
            self.assertEqual(re.sub(r"\d+(ms|[smhd])", "T", fast), re.sub(r"\d+(ms|[smhd])", "T", text))
        self.assertEqual(alerting.scaled("for: 2m\nexpr: rate5m(x[5m] offset 1d) * 300\nsummary: 5m\n", 60),
                         "for: 2000ms\nexpr: rate5m(x[5000ms] offset 1440000ms) * 300\nsummary: 5m\n")


class Dashboard(unittest.TestCase):
    """What can be said of it without a Grafana; that its questions have answers is test_alerts.py's."""

    @classmethod
    def setUpClass(cls):
        with open(os.path.join(DEPLOY, "grafana/dashboards/sonde.json")) as file:
            cls.dashboard = json.load(file)
        cls.panels = cls.dashboard["panels"]

    def test_panels_lie_beside_each_other(self):
        self.assertEqual(len({panel["id"] for panel in self.panels}), len(self.panels))
        taken = set()
        for panel in self.panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells

    def test_panels_say_what_they_show_and_follow_the_choices(self):
        names = {variable["name"] for variable in self.dashboard["templating"]["list"]}
        self.assertEqual(names, {"datasource", "service"})
        for panel in self.panels:
            if panel["type"] != "row":
                self.assertTrue(panel["description"], panel["title"])
                self.assertEqual(panel["datasource"]["uid"], "${datasource}")
                self.assertEqual(len({target["refId"] for target in panel["targets"]}), len(panel["targets"]))
                for target in panel["targets"]:
                    self.assertIn('service_name=~"$service"', target["expr"], panel["title"])


class Routes(Tools):
    """Who hears of what."""

    def receivers(self, **labels):
        said = self.run_tool(self.amtool, "config", "routes", "test", "--config.file",
                             os.path.join(DEPLOY, "alertmanager/alertmanager.yaml"),
                             *(f"{name}={value}" for name, value in labels.items()))
        return said.split()

    def test_pages_go_to_the_pager(self):
        self.assertEqual(self.receivers(alertname="ErrorBudgetBurn", severity="page"), ["pager"])
        self.assertEqual(self.receivers(alertname="NewError", severity="warning"), ["team"])
        self.assertEqual(self.receivers(alertname="SlowOperation", severity="info"), ["team"])
        self.assertEqual(self.receivers(), ["team"])


class Messages(Tools):
    """What people read, rendered by amtool from the shipped templates."""

    def render(self, template, alerts, status="firing", common=None, group=None):
        data = {"receiver": "team", "status": status, "alerts": alerts, "groupLabels": group or {},
                "commonLabels": common or {}, "commonAnnotations": {}, "externalURL": "http://alertmanager"}
        return self.run_tool(self.amtool, "template", "render", "--no-version-check",
                             "--template.glob", os.path.join(DEPLOY, "alertmanager/templates/*.tmpl"),
                             "--template.text", '{{ template "%s" . }}' % template,
                             "--template.data", self.write("data.json", json.dumps(data))).rstrip("\n")

    def alert(self, status="firing", **annotations):
        return {"status": status, "labels": {"alertname": "NewError", "service_name": "checkout"},
                "annotations": {"summary": "checkout: new error io", "description": "It is new.", **annotations}}

    def test_one_alert(self):
        alert = self.alert(error_type="io", message="disk # is full", link="http://jaeger/search?a=b&c=d", runbook="Look.")
        common = {"severity": "warning", "service_name": "checkout", "deployment_environment_name": "staging"}
        self.assertEqual(self.render("sonde.title", [alert], common=common), "checkout: new error io (staging)")
        self.assertEqual(self.render("sonde.text", [alert]).strip().split("\n"), [
            "It is new.", "Service: checkout", "Error type: io", "Message: disk # is full",
            "Traces: http://jaeger/search?a=b&c=d", "What to do: Look."])
        self.assertEqual(self.render("sonde.link", [alert]), "http://jaeger/search?a=b&c=d")
        self.assertEqual(self.render("sonde.color", [alert], common=common), "warning")

    def test_resolved(self):
        alert = self.alert("resolved", runbook="Look.")
        self.assertEqual(self.render("sonde.title", [alert], "resolved"), "Resolved: checkout: new error io")
        self.assertEqual(self.render("sonde.text", [alert], "resolved").strip().split("\n"),
                         ["Resolved: checkout: new error io", "Service: checkout"])
        self.assertEqual(self.render("sonde.color", [alert], "resolved"), "good")

    def test_many(self):
        alerts = [self.alert(message=f"number {i}") for i in range(11)] + [self.alert("resolved")]
        common, group = {"service_name": "checkout", "severity": "page"}, {"alertname": "NewError"}
        self.assertEqual(self.render("sonde.title", alerts, common=common, group=group),
                         "PAGE: checkout: NewError, 11 firing, 1 resolved")
        text = self.render("sonde.text", alerts)
        self.assertIn("Message: number 9\n", text)
        self.assertNotIn("number 10", text)
        self.assertIn("Ten of 12 are shown.", text)

    def test_what_a_service_says_is_no_markup(self):
        alert = self.alert(message="<!channel> & <http://evil|click> {{ .Status }}")
        text = self.render("sonde.text", [alert])
        self.assertIn("Message: &lt;!channel&gt; &amp; &lt;http://evil|click&gt; {{ .Status }}", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
