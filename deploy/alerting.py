#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the whole chain from a failing service to an alert, and leave nothing behind.

    with Alerting(folder) as a:
        ... a service that exports to a.otlp_http and fails ...
        a.receiver.wait_for(lambda alert: alert["labels"]["alertname"] == "NewError", 60)

That is the Collector and Jaeger of backends.py, Prometheus, Alertmanager, and a receiver of our
own in place of a chat and a pager. The configuration files beside this one are copied into the
folder with other ports; every other change to them is one that the caller names:

    quick     ask, evaluate and notify every second, not every 15 or 60
    scale     all durations in the rules divided by this, and the scraping as well: an hour of
              the rules' time passes in a minute

On the command line (`deploy/backends alerts`) it prints each alert as it arrives.
"""

import argparse
import functools
import glob
import http.server
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time

import backends
from backends import HERE, HOST, BackendError, PortTaken, Service, request, wait_until

# The ports as the configuration files have them.
PORTS = {
    "COLLECTOR_PROMETHEUS_PORT": 8889,
    "PROMETHEUS_PORT": 9090,
    "ALERTMANAGER_PORT": 9093,
    "RECEIVER_PORT": 5001,
    "JAEGER_QUERY_PORT": 16686,
}
ALERTS_OVERLAY = os.path.join(HERE, "collector", "alerts.yaml")
_KEY = re.compile(r"\s*(?:- )?(\w+):(?:\s|$)")
_DURATION = re.compile(r"(?<![\w.])(\d+)(s|m|h|d)\b")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Receiver:
    """What a chat or a pager would get: the messages for people, the JSON for programs."""

    def __init__(self, port=0, on_message=None):
        self.messages = []  # from /chat, as Slack would take them
        self.notifications = []  # from /alerts, in Alertmanager's form
        self.others = []  # from anywhere else: sonde's own webhook, if it is given the address
        self._lock = threading.Lock()
        self._on_message = on_message
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver._take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        try:
            self._server = http.server.ThreadingHTTPServer((HOST, port), Handler)
        except OSError as error:
            raise PortTaken("the receiver: port %d is taken" % port) from error
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def _take(self, path, body):
        with self._lock:
            known = {"/chat": self.messages, "/alerts": self.notifications}
            known.get(path, self.others).append(body)
            if path == "/chat" and self._on_message:
                self._on_message(body)

    def url(self, path):
        return "http://%s:%d%s" % (HOST, self.port, path)

    def alerts(self):
        """Every alert of every notification, oldest first."""
        with self._lock:
            return [alert for n in self.notifications for alert in n["alerts"]]

    def wait_for(self, what, matches, seconds):
        """The first alert, of those that came or come, of which matches(alert) is true."""
        return wait_until(what, seconds, lambda: next(filter(matches, self.alerts()), None))

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def scaled(text, scale):
    """The rules in `text` with all durations divided by `scale`, down to a second.

    What only people read (annotations, and labels as well) stays as it is.
    """

    def shorter(found):
        seconds = int(found[1]) * _SECONDS[found[2]] / scale
        return "%dms" % max(1000 * seconds, 1000)

    lines, key = [], None
    for line in text.splitlines(keepends=True):
        found = _KEY.match(line)
        key = found[1] if found else key
        is_told = key in ("expr", "for", "interval") and not line.lstrip().startswith("#")
        lines.append(_DURATION.sub(shorter, line) if is_told else line)
    return "".join(lines)


class Alerting(backends.Backends):
    """The backends, with what alerting adds to them."""

    def __init__(self, folder, quick=False, scale=1, on_message=None, **options):
        overlays = [ALERTS_OVERLAY, *options.pop("overlays", ())]
        environment = dict(options.pop("environment", None) or {})
        if quick or scale > 1:
            environment["COLLECTOR_METRICS_INTERVAL"] = "1s"
        super().__init__(folder, overlays=overlays, environment=environment, **options)
        self._quick, self._scale, self._on_message = quick, scale, on_message
        self.receiver = self.prometheus = self.alertmanager = None

    def start(self):
        self._alert_binaries = backends.build("prometheus", "alertmanager")
        super().start()

    def stop(self):
        """Stop all. May be called at any time, and more than once."""
        try:
            for service in (self.prometheus, self.alertmanager):
                if service:
                    service.stop()
        finally:
            try:
                super().stop()
            finally:
                if self.receiver:
                    self.receiver.stop()
                    self.receiver = None

    def _choose_ports(self):
        ports = super()._choose_ports()
        more = {name: port for name, port in PORTS.items() if name not in ports}
        if not self._default_ports:
            more = backends.free_ports(more, ports.values())
        return {**ports, **more}

    def _configure(self, binaries):
        super()._configure(binaries)
        ports = self.ports
        if not self.receiver:
            port = ports["RECEIVER_PORT"] if self._default_ports else 0
            self.receiver = Receiver(port, self._on_message)
        ports["RECEIVER_PORT"] = self.receiver.port
        self.collector_metrics = self._url("COLLECTOR_PROMETHEUS_PORT")
        self.prometheus_url = self._url("PROMETHEUS_PORT")
        self.alertmanager_url = self._url("ALERTMANAGER_PORT")
        for name in ("prometheus", "alertmanager"):
            self._copy_configuration(name)
        self.prometheus = self._alert_service(
            "prometheus", "PROMETHEUS_PORT", self.prometheus_url + "/-/ready",
            "--storage.tsdb.path=" + os.path.join(self.folder, "prometheus-data"),
            "--enable-feature=native-histograms")
        self.alertmanager = self._alert_service(
            "alertmanager", "ALERTMANAGER_PORT", self.alertmanager_url + "/-/ready",
            "--storage.path=" + os.path.join(self.folder, "alertmanager-data"),
            "--cluster.listen-address=")

    def _services(self):
        return [*super()._services(), self.alertmanager, self.prometheus]

    def _alert_service(self, name, port, probe, *arguments):
        argv = [self._alert_binaries[name],
                "--config.file=%s/%s.yaml" % (os.path.join(self.folder, name), name),
                "--web.listen-address=%s:%d" % (HOST, self.ports[port]), *arguments]
        return Service(name, argv, dict(os.environ), [self.ports[port]], [(probe, None)],
                       os.path.join(self.folder, name + ".log"))

    def _copy_configuration(self, name):
        source, target = os.path.join(HERE, name), os.path.join(self.folder, name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        for path in glob.glob(os.path.join(target, "**", "*.yaml"), recursive=True):
            with open(path) as file:
                text = file.read()
            with open(path, "w") as file:
                file.write(self._changed(text, "rules" in path[len(target):]))

    def _changed(self, text, is_rules):
        for variable, default in PORTS.items():
            text = text.replace("%s:%d" % (HOST, default), "%s:%d" % (HOST, self.ports[variable]))
        if is_rules:
            return scaled(text, self._scale) if self._scale > 1 else text
        if self._quick or self._scale > 1:
            text = re.sub(r"((scrape|evaluation|group)_(interval|wait)): \d+[sm]", r"\1: 1s", text)
        return text

    def prometheus_api(self, path, **parameters):
        """The data of an answer of Prometheus's query API."""
        url = "%s/api/v1/%s?%s" % (self.prometheus_url, path,
                                   backends.urllib.parse.urlencode(parameters))
        return json.loads(request(url))["data"]

    def query(self, expression):
        """What an expression is now, as a list of {"metric": …, "value": …}."""
        return self.prometheus_api("query", query=expression)["result"]


def _print_message(path, message):
    """Shows it, and then leaves it in a file of JSON lines for who waits for it."""
    for attachment in message["attachments"]:
        title = attachment["title"]
        if sys.stdout.isatty():
            title = "\033[1m%s\033[0m" % title
        print("\n%s  ALERT  %s" % (time.strftime("%H:%M:%S"), title))
        for line in attachment["text"].rstrip("\n").split("\n"):
            print("    " + line)
    sys.stdout.flush()
    with open(path, "a") as file:
        file.write(json.dumps(message) + "\n")


def _print_addresses(a):
    rows = [("Collector, OTLP/HTTP", a.otlp_http), ("Jaeger, query", a.jaeger_query),
            ("Prometheus", a.prometheus_url), ("Alertmanager", a.alertmanager_url),
            ("alerts arrive at", a.receiver.url("/alerts")),
            ("files and logs", a.folder)]
    for what, value in rows:
        print("%-22s%s" % (what, value))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(
        prog="deploy/backends alerts",
        description="Run the Collector, Jaeger, Prometheus and Alertmanager, and print what "
                    "alerts arrive, until interrupted or while COMMAND runs.")
    parser.add_argument("--free-ports", action="store_true",
                        help="use any free ports, not the default ones")
    parser.add_argument("--quick", action="store_true",
                        help="ask, evaluate and notify every second")
    parser.add_argument("--folder", help="keep logs and files here, not in a temporary folder")
    parser.add_argument("command", nargs="*",
                        help="run this, with the addresses in its environment, and return its exit status")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, backends._interrupt)
    folder = arguments.folder or tempfile.mkdtemp(prefix="sonde-alerts-")
    messages = os.path.join(os.path.abspath(folder), "messages.jsonl")
    try:
        with Alerting(folder, quick=arguments.quick, default_ports=not arguments.free_ports,
                      on_message=functools.partial(_print_message, messages)) as a:
            _print_addresses(a)
            if arguments.command:
                os.environ.update(PROMETHEUS_URL=a.prometheus_url,
                                  ALERTMANAGER_URL=a.alertmanager_url, ALERTS_FILE=messages)
                return backends._run_command(arguments.command, a)
            backends._wait_for_end(a)
    except backends._Interrupted as interrupt:
        return 128 + interrupt.args[0] if arguments.command else 0
    except (BackendError, PortTaken) as error:
        print("backends: %s" % error, file=sys.stderr)
        return 1
    finally:
        if not arguments.folder:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
