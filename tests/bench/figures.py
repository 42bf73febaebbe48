# SPDX-License-Identifier: Apache-2.0
"""Figures by name: collected from programs that print `name value unit spread`, merged, printed.

A figure that was measured in several passes has the median of their values. Its spread is the larger of what
one pass saw between its quartiles and of what lies between the passes.
"""
import json
import statistics
import sys


class Figures:
    def __init__(self):
        self.samples = {}  # name -> [(value, spread)]
        self.units = {}
        self.failures = []

    def add(self, name, value, unit, spread=0.0):
        self.samples.setdefault(name, []).append((float(value), float(spread)))
        self.units[name] = unit

    def take(self, text):
        """The lines of a program; returns those that are no figures."""
        others = []
        for line in text.splitlines():
            parts = line.split()
            try:
                self.add(parts[0], float(parts[1]), parts[2], float(parts[3]))
            except (IndexError, ValueError):
                others.append(line)
        return others

    def leave_out(self, name, why):
        """Never in silence: who reads the figures must know what is missing."""
        print(f"left out: {name}: {why}", file=sys.stderr, flush=True)

    def fail(self, text):
        self.failures.append(text)
        print("FAILED: " + text, file=sys.stderr, flush=True)

    def __contains__(self, name):
        return name in self.samples

    def value(self, name):
        return statistics.median(value for value, _ in self.samples[name])

    def best(self, name):
        """Of the quietest pass: what disturbs a pass makes it slower, never faster."""
        return min(value for value, _ in self.samples[name])

    def worst(self, name):
        return max(value for value, _ in self.samples[name])

    def spread(self, name):
        values = [value for value, _ in self.samples[name]]
        return max(max(values) - min(values), max(spread for _, spread in self.samples[name]))

    def print(self, as_json):
        for name, unit in self.units.items():
            value, spread = float(f"{self.value(name):.6g}"), float(f"{self.spread(name):.3g}")
            if as_json:
                print(json.dumps({"name": name, "value": value, "unit": unit, "spread": spread}))
            else:
                print(f"{name} {value:g} {unit}" if abs(value) < 1e6 else f"{name} {value:.0f} {unit}")
        sys.stdout.flush()
