# SPDX-License-Identifier: Apache-2.0
"""Other tracers, measured in the same run with the same operations, as far as this machine offers them:
fastrace and the OpenTelemetry SDK from Rust's registry, LTTng-UST from the distribution's packages.

Nothing is installed from here. What cannot be had is left out by name.
"""
import os
import shutil
import subprocess
import tempfile
import time

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
RUST_PEERS = ("fastrace", "opentelemetry")
RATIOS = [(operation, peer) for peer in RUST_PEERS
          for operation in ("root", "child", "typical", "exception", "sampled_out", "disabled")]
RATIOS += [("log", "opentelemetry"), ("log", "lttng")]


def last_line(text):
    return (text.strip().splitlines() or ["it said nothing"])[-1]


class RustPeers:
    def __init__(self, cache):
        self.target = os.path.join(cache, "bench-peers")
        self.program = os.path.join(self.target, "release", "sonde-bench-peers")

    def prepare(self):
        """None, or why not."""
        cargo = shutil.which("cargo") or shutil.which("cargo", path=os.path.expanduser("~/.cargo/bin"))
        if not cargo:
            return "cargo is not installed"
        command = [cargo, "build", "--release", "--locked", "--manifest-path",
                   os.path.join(FOLDER, "rust", "Cargo.toml"), "--target-dir", self.target]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)
        return None if result.returncode == 0 else "cargo build: " + last_line(result.stderr)

    def measure(self, bench, rounds):
        for peer in RUST_PEERS:
            bench.run(self.program, peer, rounds)

    def end(self):
        pass


class Lttng:
    """A session daemon of our own where none runs; a session in a folder of its own in any case."""
    SOURCES = ["peers/lttng/lttng.c", "drive.c", "counters.c", "floor.c", "measure.c"]

    def __init__(self, cache):
        self.folder = tempfile.mkdtemp(prefix="sonde-bench-lttng-")
        self.program = os.path.join(self.folder, "bench-lttng")
        self.environment = {"LTTNG_HOME": self.folder}
        self.pid_file = os.path.join(self.folder, "pid")
        self.has_session = False

    def call(self, *command):
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.STDOUT, env={**os.environ, **self.environment})
        if result.returncode != 0:
            raise OSError(f"{command[0]}: {last_line(result.stdout)}")

    def lttng(self, *command):
        self.call("lttng", "--no-sessiond", *command)

    def prepare(self):
        for program in ("lttng", "lttng-sessiond"):
            if not shutil.which(program):
                return f"{program} is not installed (lttng-tools)"
        bench_folder = os.path.dirname(FOLDER)
        try:
            self.call("cc", "-O2", "-D_GNU_SOURCE", "-I", os.path.join(FOLDER, "lttng"),
                      *(os.path.join(bench_folder, source) for source in self.SOURCES),
                      "-o", self.program, "-llttng-ust", "-ldl", "-lpthread")
        except OSError as error:
            return f"{error} (liblttng-ust-dev)"
        try:
            self.begin()
        except OSError as error:
            return str(error)
        return None

    def begin(self):
        try:
            self.lttng("list")
        except OSError:
            self.call("lttng-sessiond", "--daemonize", "--no-kernel", "--pidfile=" + self.pid_file)
        self.session = os.path.basename(self.folder)
        self.lttng("create", self.session, "--output=" + os.path.join(self.folder, "trace"))
        self.has_session = True
        self.lttng("enable-channel", "-u", "-s", self.session, "--subbuf-size=1M", "--num-subbuf=8", "orders")
        self.lttng("enable-event", "-u", "-s", self.session, "-c", "orders", "sonde_bench:*")
        self.lttng("start", self.session)

    def measure(self, bench, rounds):
        bench.run(self.program, rounds, environment=self.environment)

    def end(self):
        if self.has_session:
            self.lttng("destroy", self.session)
        if os.path.exists(self.pid_file):
            with open(self.pid_file) as file:
                pid = int(file.read())
            os.kill(pid, 15)
            deadline = time.monotonic() + 10
            while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
                time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)


class Peers:
    def __init__(self, bench, cache):
        self.bench = bench
        self.ready = []
        for names, peer in ((" ".join(RUST_PEERS), RustPeers(cache)), ("lttng", Lttng(cache))):
            why_not = peer.prepare()
            if why_not:
                bench.figures.leave_out(names, why_not)
                peer.end()
            else:
                self.ready.append(peer)

    def measure(self, rounds):
        for peer in self.ready:
            peer.measure(self.bench, rounds)

    def end(self):
        for peer in self.ready:
            peer.end()

    def add_ratios(self):
        """Each tracer's in its quietest pass."""
        figures = self.bench.figures
        for operation, peer in RATIOS:
            own, theirs = f"{operation}_ns", f"{peer}_{operation}_ns"
            if own in figures and theirs in figures:
                figures.add(f"ratio_{operation}_{peer}", figures.best(own) / figures.best(theirs), "1")
