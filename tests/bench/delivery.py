# SPDX-License-Identifier: Apache-2.0
"""The programs that deliver to a collector, each with a sink of its own (sink.c)."""
import os
import subprocess


class Sink:
    """A collector that ends with the block, and then knows what it took."""

    def __init__(self, bench, *arguments):
        self.command = [bench.path("bench-sink"), *arguments]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        output, _ = self.process.communicate()
        words = output.split()
        self.requests, self.bytes = int(words[1]), int(words[3])


def measure_end_to_end(bench):
    if not os.path.exists(bench.path("bench-deliver")):
        bench.figures.leave_out("end_to_end", "libsonde-otlp was not built")
        return
    spans = 100_000 if bench.is_quick else 1_000_000
    for name, environment in (("end_to_end", {}), ("end_to_end_gzip", {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"})):
        with Sink(bench) as sink:
            bench.run("bench-deliver", name, sink.port, spans, environment=environment)
        # The warm-up and the spans around are delivered too.
        total = spans + 20_002
        bench.figures.add(f"{name}_bytes", sink.bytes / total, "B")
        bench.figures.add(f"{name}_request_bytes", sink.bytes / max(sink.requests, 1), "B")
