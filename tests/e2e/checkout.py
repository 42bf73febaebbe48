# SPDX-License-Identifier: Apache-2.0
"""The example service as a test runs it: two processes, a load, and what arrived of it."""
import collections
import json
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "deploy"))

import backends  # noqa: E402,F401  (for the tests)

CHECKOUT = os.environ.get("SONDE_CHECKOUT", "")
LOAD = os.environ.get("SONDE_LOAD", "")


class Process:
    """One process of the example; its port once it listens."""

    def __init__(self, folder, role, arguments, environment):
        self.errors = os.path.join(folder, role + ".err")
        clean = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
        with open(self.errors, "ab") as errors:
            self.child = subprocess.Popen([CHECKOUT, "--role", role, *arguments], env={**clean, **environment},
                                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
        line = self.child.stdout.readline()
        assert line.startswith("listening on"), f"{role}: {line!r} {self.said()}"
        self.port = int(line.rsplit(":", 1)[1])

    def rss_kib(self):
        with open(f"/proc/{self.child.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
        status = self.child.wait(30)
        self.child.stdout.close()
        return status

    def said(self):
        with open(self.errors) as errors:
            return errors.read()


class Service:
    """Checkout and payment, exporting to `endpoint`."""

    def __init__(self, folder, endpoint, fail_every=10, slow_every=1000, break_every=0, **environment):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "500",
                    "SONDE_STATE_DIRECTORY": os.path.join(folder, "state"),
                    **{k: str(v) for k, v in environment.items()}}
        self.payment = Process(folder, "payment", ["--fail-every", str(fail_every), "--break-every", str(break_every)], settings)
        self.checkout = Process(folder, "checkout",
                                ["--payment-port", str(self.payment.port), "--database",
                                 os.path.join(folder, "orders.db"), "--slow-every", str(slow_every)], settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.statuses = [self.checkout.stop(), self.payment.stop()]

    def said(self):
        return self.checkout.said() + self.payment.said()


class Load:
    """A running load; figures() waits for its end."""

    def __init__(self, folder, port, rate, seconds, first_order=1, threads=16):
        self.ids_path = os.path.join(folder, f"ids-{first_order}.txt")
        self.child = subprocess.Popen([LOAD, "--port", str(port), "--rate", str(rate), "--seconds", str(seconds),
                                       "--first-order", str(first_order), "--threads", str(threads),
                                       "--trace-ids", self.ids_path],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def figures(self):
        text, _ = self.child.communicate(timeout=300)
        return json.loads(text)

    def orders(self):
        """[(trace id, order, HTTP status)]"""
        with open(self.ids_path) as lines:
            return [(line.split()[0], int(line.split()[1]), int(line.split()[2])) for line in lines]


def values(item):
    return {a["key"]: next(iter(a["value"].values()), None) for a in item.get("attributes", [])}


def service_of(span):
    return values(span["resource"]).get("service.name")


def by_trace(spans):
    traces = collections.defaultdict(list)
    for span in spans:
        traces[span["traceId"]].append(span)
    return traces


def wait_until(what, seconds, look):
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found or time.monotonic() > deadline:
            assert found, f"not within {seconds} s: {what}"
            return found
        time.sleep(0.05)
