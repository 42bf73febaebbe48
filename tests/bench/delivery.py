# SPDX-License-Identifier: Apache-2.0
"""The programs that deliver to a collector, each with a sink of its own (sink.c)."""
import os
import socket
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
    spans = 100_000 if bench.is_quick else 1_000_000
    for name, environment in (("end_to_end", {}), ("end_to_end_gzip", {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"})):
        with Sink(bench) as sink:
            bench.run("bench-deliver", name, sink.port, spans, environment=environment)
        # The warm-up and the spans around are delivered too.
        bench.figures.add(f"{name}_bytes", sink.bytes / (spans + 20_002), "B")
        bench.figures.add(f"{name}_request_bytes", sink.bytes / max(sink.requests, 1), "B")


def measure_flood(bench):
    rate = 1_200_000
    with Sink(bench) as sink:
        bench.run("bench-deliver", "flood", sink.port, rate * (1 if bench.is_quick else 10), rate)


def measure_errors(bench):
    with Sink(bench) as sink:
        bench.run("bench-errors", "single", sink.port, 2_000 if bench.is_quick else 50_000)
    for n_threads in (1, 4):
        with Sink(bench) as sink:
            bench.run("bench-errors", "flood", sink.port, 1_000_000, n_threads)
        bench.figures.add(f"error_flood_bytes_t{n_threads}", sink.bytes, "B")


def measure_paced(bench):
    """The port that refuses is one that was free a moment ago."""
    seconds = 1 if bench.is_quick else 8
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        refusing = free.getsockname()[1]
    bench.run("bench-paced", "without", 0, seconds)
    with Sink(bench) as sink:
        bench.run("bench-paced", "up", sink.port, seconds)
    bench.run("bench-paced", "down_refused", refusing, seconds)
    with Sink(bench, "hang") as sink:
        bench.run("bench-paced", "down_hanging", sink.port, seconds)


def measure_life(bench):
    with Sink(bench) as sink:
        bench.run("bench-life", sink.port, 1 if bench.is_quick else 5)
        for _ in range(2 if bench.is_quick else 10):
            bench.run("bench-life", sink.port, 0)


def measure_delivery(bench):
    if not os.path.exists(bench.path("bench-deliver")):
        bench.figures.leave_out("end_to_end flood down start stop rest", "libsonde-otlp was not built")
        return
    measure_life(bench)
    measure_end_to_end(bench)
    measure_flood(bench)
    measure_errors(bench)
    measure_paced(bench)
