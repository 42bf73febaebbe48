# SPDX-License-Identifier: Apache-2.0
"""Writes a run's figures into docs/benchmarks.md, between its two marks."""
import os
import platform
import re
import subprocess

from budgets import TARGETS

BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
OPERATIONS = ["root", "child", "typical", "exception", "log", "error_capture", "tag", "breadcrumb",
              "timed_fast", "timed_slow"]
VARIANTS = ["disabled", "sampled_out", "sampled_out_no_figures", "site_figures", "child_no_figures", "child_full",
            "typical_full", "exception_text", "message", "error_raise"]
ADMITS = ["retry", "breaker", "breaker_rate", "breaker_shared", "bulkhead", "bulkhead_shared", "limiter", "limiter_key",
          "queue", "lock", "feed", "emit", "deadline"]
THREADS = ["_t1", "_t2", "_t4", "_t16", "_t64"]
QUANTILES = ["p50", "p99", "p99.9", "p99.99"]


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)|CPU part\s*: (.*)", file.read())
    with open("/sys/devices/system/clocksource/clocksource0/current_clocksource") as file:
        clock = file.read().strip()
    with open("/etc/os-release") as file:
        system = re.search(r'PRETTY_NAME="(.*)"', file.read())
    compiler = subprocess.run(["cc", "--version"], stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return (f"{os.cpu_count()} processors ({model.group(1) if model else platform.machine()}), clock source {clock}, "
            f"{system.group(1) if system else platform.system()}, Linux {platform.release()}, "
            f"{compiler[0] if compiler else 'cc'}; load at the end {os.getloadavg()[1]:.1f} (mean of 5 minutes).")


class Page:
    def __init__(self, figures):
        self.figures = figures
        self.lines = []

    def cell(self, name, with_spread=False):
        if name not in self.figures:
            return "–"
        value = self.figures.best(name) if re.search(r"_ns(_t\d+)?$", name) else self.figures.value(name)
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        return f"{text} ± {self.figures.spread(name):.2g}" if with_spread else text

    def table(self, title, header, rows):
        self.lines += ["", f"### {title}", "", "| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
        self.lines += ["| " + " | ".join(row) + " |" for row in rows]

    def costs(self):
        self.table("One thread, all defaults, ns of the caller's processor time",
                   ["operation", "worker parked", "worker running", "floor", "in floors", "fastrace",
                    "OpenTelemetry Rust", "LTTng-UST"],
                   [[name, self.cell(f"{name}_ns", True), self.cell(f"{name}_running_ns", True),
                     self.cell(f"floor_{name}_ns"), self.cell(f"{name}_floors"), self.cell(f"fastrace_{name}_ns"),
                     self.cell(f"opentelemetry_{name}_ns"), self.cell(f"lttng_{name}_ns")] for name in OPERATIONS])
        self.table("Variants, one thread, ns", ["figure", "ns", "fastrace", "OpenTelemetry Rust"],
                   [[name, self.cell(f"{name}_ns", True), self.cell(f"fastrace_{name}_ns"),
                     self.cell(f"opentelemetry_{name}_ns")] for name in VARIANTS])
        self.table("The toolkit, who is let in at once, with an agent, one thread, ns",
                   ["", "ns", "in floors", "allocations", "locks", "ns, two threads in each other's way",
                    "their allocations"],
                   [[name, self.cell(f"admit_{name}_ns", True), self.cell(f"admit_{name}_floors"),
                     self.cell(f"admit_{name}_allocations"), self.cell(f"admit_{name}_locks"),
                     self.cell(f"contended_{name}_ns_t2", True), self.cell(f"contended_{name}_allocations_t2")]
                    for name in ADMITS])
        self.table("Parts of the floor, ns", ["two clock readings", "reservation", "copy of 128 bytes", "together"],
                   [[self.cell(f"floor_{part}ns") for part in ("clock_", "reserve_", "copy_", "")]])

    def threads(self):
        names = OPERATIONS + ["disabled", "sampled_out", "site_figures"]
        self.table("Threads on these processors, ns of each caller's processor time, worker parked / running",
                   ["operation", *(suffix[2:] for suffix in THREADS)],
                   [[name, *(f"{self.cell(f'{name}_ns{suffix}')} / {self.cell(f'{name}_running_ns{suffix}')}"
                             for suffix in THREADS)] for name in names])
        peers = ["fastrace_root", "fastrace_child", "opentelemetry_root", "opentelemetry_typical", "lttng_log"]
        self.table("The peers on threads, ns", ["operation", "1", "2", "4", "16"],
                   [[name, *(self.cell(f"{name}_ns{suffix}") for suffix in ("", "_t2", "_t4", "_t16"))]
                    for name in peers])

    def counts(self):
        rows = []
        for kind in ("allocations", "locks", "syscalls_but_wakeups", "syscalls"):
            names = [name for name in self.figures.samples if re.fullmatch(rf"(?!fastrace|open|lttng).*_{kind}(_t\d+)?",
                                                                           name)]
            most = max(names, key=self.figures.worst, default="")
            worst = self.figures.worst(most) if most else 0
            rows.append([kind, str(len(names)), f"{worst:.3g}" + (f" ({most})" if worst else "")])
        self.table("Counted from outside, for one operation", ["what", "figures", "the most"], rows)

    def delivery(self):
        self.table("End to end to a local sink, 1,000,000 typical spans, none lost",
                   ["", "spans/s", "CPU of the process, ns a span", "bytes a span", "bytes a request",
                    "peak RssAnon, MiB"],
                   [[title, *(self.cell(f"{name}_{what}") for what in ("spans_per_s", "cpu_ns", "bytes",
                                                                       "request_bytes")),
                     f"{self.figures.value(f'{name}_rss_anon') / 2 ** 20:.1f}"]
                    for title, name in (("plain", "end_to_end"), ("gzip", "end_to_end_gzip"))])
        self.table("Behind the box with an exporter that encodes nothing, ns a record",
                   ["", "nothing redacted", "the usual", "all, and a dozen globs more"],
                   [[title, *(self.cell(f"redact_{kind}_{way}_ns") for way in ("none", "default", "all"))]
                    for title, kind in (("a typical span", "typical"), ("a log record without secrets", "log"),
                                        ("one with six secrets", "secret"))])
        self.table("Callers of a typical span every 20 µs, ns",
                   ["collector", *QUANTILES, "RssAnon, MiB", "stop, ms"],
                   [[name, *(self.cell(f"{name}_{quantile}_ns") for quantile in QUANTILES),
                     f"{self.figures.value(f'{name}_rss_anon') / 2 ** 20:.1f}", self.cell(f"{name}_stop_ms")]
                    for name in ("without", "up", "down_refused", "down_hanging")])
        self.table("A million errors that are all alike, within a second",
                   ["threads", "caller, ns each", "behind the box, ns each", "events sent", "bytes sent",
                    "not read in time, %"],
                   [[str(n), *(self.cell(f"error_flood_{what}_t{n}") for what in
                               ("caller_ns", "behind_ns", "events", "bytes", "ring_full"))] for n in (1, 4)])
        self.table("A flood of 1.2 million typical spans/s, and an agent at rest",
                   ["lost in the flood, %", "RssAnon in the flood, MiB", "start, ms", "stop, ms", "wake-ups a second",
                    "the process: RssAnon and box, MiB", "of it the agent's"],
                   [[self.cell("flood_lost"), f"{self.figures.value('flood_rss_anon') / 2 ** 20:.1f}",
                     self.cell("start_ms"), self.cell("stop_ms"), self.cell("rest_wakeups"),
                     f"{self.figures.value('rest_bytes') / 2 ** 20:.2f}",
                     f"{self.figures.value('rest_added_bytes') / 2 ** 20:.2f}"]])

    def ratios(self):
        self.table("Ratios, each side's quietest pass", ["ratio", "value"],
                   [[name, self.cell(name)] for name in self.figures.samples if name.startswith("ratio_")])

    def targets(self):
        rows = []
        for name, target in TARGETS.items():
            if name in self.figures:
                value = self.figures.best(name) if name.endswith("_ns") else self.figures.value(name)
                met = value >= -target if target < 0 else value <= target
                rows.append([name, f"{'≥' if target < 0 else '≤'} {abs(target):,}", self.cell(name),
                             "met" if met else "not met"])
        self.table("Targets", ["figure", "target", "here", ""], rows)


def write_page(figures, path, command):
    page = Page(figures)
    page.lines = [f"Made by `{command}` on {machine()}"]
    for part in (page.costs, page.threads, page.counts, page.ratios, page.delivery, page.targets):
        part()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "\n".join(page.lines) + "\n" + END + after)
