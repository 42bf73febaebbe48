#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run a real Jaeger and a real OpenTelemetry Collector, and leave nothing behind.

    with Backends(folder) as b:
        post(b.otlp_http + "/v1/traces", ...)
        b.wait_for_trace(trace_id, 10)
        b.collector.stop(); ...; b.collector.start()      # on the same ports

The configuration files beside this one are used as they are; only ports and paths differ,
through the environment. Everything listens on 127.0.0.1.

No process outlives its owner: each is stopped by its process id, and asks the kernel to be
killed when the thread that started it is gone. That thread is one of our own, which lives as
long as the interpreter, so that start() may be called from any thread.

On the command line (`deploy/backends up`) it runs both on the default ports until it is
interrupted, or for as long as a command runs.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
HOST = "127.0.0.1"
START_SECONDS = 30
STOP_SECONDS = 10
POLL_SECONDS = 0.02

# The ports a backend listens on: the environment variable of its configuration, and the
# default that stands there.
COLLECTOR_PORTS = {
    "COLLECTOR_HTTP_PORT": 4318,
    "COLLECTOR_GRPC_PORT": 4317,
    "COLLECTOR_HEALTH_PORT": 13133,
}
JAEGER_PORTS = {
    "JAEGER_OTLP_HTTP_PORT": 14318,
    "JAEGER_OTLP_GRPC_PORT": 14317,
    "JAEGER_QUERY_PORT": 16686,
    "JAEGER_QUERY_GRPC_PORT": 16685,
}

# Loopback is never behind a proxy, whatever the environment says.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_starter = concurrent.futures.ThreadPoolExecutor(1, "backends")

# Becomes the backend, after asking for SIGKILL (9) when its parent goes (PR_SET_PDEATHSIG, 1).
# A parent that is gone already cannot be waited for: then there is nothing to run for.
_LAUNCH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, ctypes.c_ulong(9), *[ctypes.c_ulong(0)] * 3)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class BackendError(Exception):
    """A backend did not start, or is not in the state that the call needs."""


class PortTaken(BackendError):
    """Somebody else listens on a port that a backend was to have."""


def build(*names):
    """Build what is missing (minutes, the first time) and return {name: path of the binary}."""
    command = [os.path.join(HERE, "backends"), "build", *names]
    # A group of its own: compilers are many processes, and end together.
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          start_new_session=True, universal_newlines=True) as process:
        try:
            output = process.communicate()[0]
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    if process.returncode:
        raise BackendError("the build failed")
    return dict(line.split(" ", 1) for line in output.splitlines())


def request(url, body=None, headers=None, timeout=5):
    """GET, or POST `body`; return the response's bytes. Raises urllib.error.HTTPError."""
    message = urllib.request.Request(url, data=body, headers=headers or {})
    with _http.open(message, timeout=timeout) as response:
        return response.read()


def post_json(url, value, timeout=5):
    """POST `value` as JSON and return the decoded response."""
    headers = {"Content-Type": "application/json"}
    return json.loads(request(url, json.dumps(value).encode(), headers, timeout))


def wait_until(what, seconds, look):
    """Call `look` until it returns something true, and return that; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise TimeoutError("not within %g s: %s" % (seconds, what))
        time.sleep(POLL_SECONDS)


def free_ports(variables, others=()):
    """A port nobody listens on, and not one of `others`, for each variable: {variable: port}.

    They are taken from below the range the kernel gives to outgoing connections. Otherwise a
    client that retries while its backend is down may be given that very port, connect to
    itself, and keep the backend from coming back.
    """
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            lowest = int(file.read().split()[0])
    except OSError:
        lowest = 32768
    ports = range(10000, lowest) if lowest > 12000 else range(10000, 65536)
    chosen = []
    while len(chosen) < len(variables):
        port = random.choice(ports)
        if port not in chosen and port not in others and not is_taken(port):
            chosen.append(port)
    return dict(zip(variables, chosen))


def is_taken(port):
    with socket.socket() as probe:
        # As the backends do it: connections that linger after a stop are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _spawn(argv, **options):
    """A process started by our own thread. An interrupt of this one leaves no process behind."""
    started = _starter.submit(subprocess.Popen, argv, **options)
    try:
        return started.result()
    except BaseException:
        if not started.exception():
            started.result().kill()
            started.result().wait()
        raise


class Service:
    """One backend process: stopped, running or paused. It can be started again at will."""

    def __init__(self, name, argv, environment, ports, probes, log_path, writes=()):
        self.name = name
        self.log_path = log_path
        self._writes = writes  # its files of JSON lines
        self._argv = argv
        self._environment = environment
        self._ports = ports
        self._probes = probes  # (url, body) pairs that all succeed once it is ready
        self._process = None

    @property
    def pid(self):
        return self._process.pid if self.is_running() else None

    def is_running(self):
        """Whether the process lives; a paused one does."""
        return self._process is not None and self._process.poll() is None

    def start(self):
        """Start it and return when it is ready. Its ports are the same every time."""
        if self.is_running():
            raise BackendError("%s runs already" % self.name)
        # Asked first, because another backend on that port would pass for a ready one.
        for port in self._ports:
            if is_taken(port):
                raise PortTaken("%s: port %d is taken" % (self.name, port))
        for path in self._writes:
            _drop_cut_line(path)
        with open(self.log_path, "ab") as log:
            log_start = log.tell()
            self._process = _spawn(
                [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *self._argv],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=os.path.dirname(self.log_path), start_new_session=True)
        try:
            self._wait_ready(log_start)
        except BaseException:
            self.kill()
            raise

    def wait(self, seconds):
        """Whether it has ended, waiting that long at most."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self):
        """Ask it to end and wait; kill it if it does not. Nothing to do if it does not run."""
        if self.is_running():
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)
            if not self.wait(STOP_SECONDS):
                self.kill()

    def kill(self):
        """End it at once, as a crash would."""
        if self.is_running():
            self._signal(signal.SIGKILL)
            self._process.wait()

    def pause(self):
        """Freeze it: connections are accepted by the kernel, and nothing answers."""
        self._need_running()
        self._signal(signal.SIGSTOP)
        # Its threads stop one by one. Should it end instead, that is left for poll() to see.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self):
        self._need_running()
        self._signal(signal.SIGCONT)

    def _need_running(self):
        if not self.is_running():
            raise BackendError("%s does not run" % self.name)

    def _signal(self, number):
        # Only after is_running(): what has not been waited for still owns its process id, and
        # leads a group of the same number.
        os.killpg(self._process.pid, number)

    def _wait_ready(self, log_start):
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            ended = self.wait(POLL_SECONDS)
            if not ended and time.monotonic() < deadline:
                continue
            log = self._log_since(log_start)
            if "address already in use" in log:
                raise PortTaken("%s: a port was taken meanwhile" % self.name)
            raise BackendError("%s %s; the end of its log:\n%s" % (
                self.name, "ended at once" if ended else "was not ready in time", log[-2000:]))

    def _is_ready(self):
        try:
            for url, body in self._probes:
                request(url, body, {"Content-Type": "application/json"} if body else {}, 1)
        except (OSError, http.client.HTTPException):  # URLError is an OSError
            return False
        return True

    def _log_since(self, start):
        with open(self.log_path, "rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")


class Backends:
    """Jaeger, and a Collector that sends to it, with their logs and files in `folder`.

    `overlays` are further configuration files for the Collector; what they say is merged over
    collector.yaml. `environment` is added to that of both processes.
    """

    def __init__(self, folder, default_ports=False, overlays=(), environment=None):
        self.folder = os.path.abspath(folder)
        self.traces_file = os.path.join(self.folder, "traces.jsonl")
        self.logs_file = os.path.join(self.folder, "logs.jsonl")
        self.metrics_file = os.path.join(self.folder, "metrics.jsonl")
        self.jaeger = None
        self.collector = None
        self._default_ports = default_ports
        self._overlays = list(overlays)
        self._environment = dict(environment or {})

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Build what is missing, choose ports, start both; return when both are ready."""
        binaries = build()
        os.makedirs(self.folder, exist_ok=True)
        attempts = 1 if self._default_ports else 5
        for attempt in range(attempts):
            self._configure(binaries)
            try:
                for service in self._services():
                    service.start()
                return
            except PortTaken:
                self.stop()
                if attempt == attempts - 1:
                    raise
            except BaseException:
                self.stop()
                raise

    def stop(self):
        """Stop both. May be called at any time, and more than once."""
        # The Collector first, so that it can hand over what it has.
        try:
            if self.collector:
                self.collector.stop()
        finally:
            if self.jaeger:
                self.jaeger.stop()

    def _services(self):
        """In the order in which they start."""
        return [self.jaeger, self.collector]

    def _choose_ports(self):
        ports = {**COLLECTOR_PORTS, **JAEGER_PORTS}
        return ports if self._default_ports else free_ports(ports)

    def _url(self, port_name):
        return "http://%s:%d" % (HOST, self.ports[port_name])

    def _configure(self, binaries):
        self.ports = ports = self._choose_ports()
        url = {name: self._url(name) for name in ports}
        self.otlp_http = url["COLLECTOR_HTTP_PORT"]
        self.otlp_grpc = url["COLLECTOR_GRPC_PORT"]
        self.jaeger_query = url["JAEGER_QUERY_PORT"]
        # Jaeger's own receiver, past the Collector.
        self.jaeger_otlp_http = url["JAEGER_OTLP_HTTP_PORT"]
        self.jaeger_otlp_grpc = url["JAEGER_OTLP_GRPC_PORT"]
        # What the caller's environment says about OpenTelemetry is about the caller.
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("OTEL_")}
        environment.update({name: str(port) for name, port in ports.items()})
        environment.update(COLLECTOR_TRACES_FILE=self.traces_file,
                           COLLECTOR_LOGS_FILE=self.logs_file,
                           COLLECTOR_METRICS_FILE=self.metrics_file)
        environment.update(self._environment)

        def service(name, overlays, port_names, probes, writes=()):
            configs = [os.path.join(HERE, name, name + ".yaml"), *overlays]
            argv = [binaries[name], *("--config=" + path for path in configs)]
            return Service(name, argv, environment, [ports[port] for port in port_names], probes,
                           os.path.join(self.folder, name + ".log"), writes)

        # Jaeger has no health check of its own here. It opens its receivers last, so an empty
        # export that is accepted says that everything else is up.
        self.jaeger = service(
            "jaeger", [], JAEGER_PORTS,
            [(self.jaeger_otlp_http + "/v1/traces", b"{}"),
             (self.jaeger_query + "/api/services", None)])
        self.collector = service(
            "collector", self._overlays, COLLECTOR_PORTS, [(url["COLLECTOR_HEALTH_PORT"], None)],
            writes=(self.traces_file, self.logs_file, self.metrics_file))

    # What has arrived.

    def spans(self):
        """Every span the Collector wrote, in OTLP/JSON form, with its resource and scope."""
        return _flatten(self.traces_file, "resourceSpans", "scopeSpans", "spans")

    def log_records(self):
        """Every log record the Collector wrote, likewise."""
        return _flatten(self.logs_file, "resourceLogs", "scopeLogs", "logRecords")

    def metrics(self):
        """Every metric of every batch the Collector wrote, likewise."""
        return _flatten(self.metrics_file, "resourceMetrics", "scopeMetrics", "metrics")

    def jaeger_trace(self, trace_id):
        """The trace as Jaeger's query API tells it, or None if it has none by that id."""
        try:
            found = json.loads(request("%s/api/traces/%s" % (self.jaeger_query, trace_id)))
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None
        return found["data"][0] if found.get("data") else None

    def wait_for_trace(self, trace_id, seconds, spans=1):
        """The trace from Jaeger, once it has at least that many spans."""

        def look():
            trace = self.jaeger_trace(trace_id)
            return trace if trace and len(trace["spans"]) >= spans else None

        return wait_until("trace %s in Jaeger" % trace_id, seconds, look)


def _flatten(path, resources, scopes, items):
    return [dict(item, resource=resource.get("resource", {}), scope=scope.get("scope", {}))
            for line in read_json_lines(path)
            for resource in line.get(resources, [])
            for scope in resource.get(scopes, [])
            for item in scope.get(items, [])]


def read_json_lines(path):
    """The values in a file of JSON lines; none if there is no file yet.

    The last line counts once its end has been written.
    """
    try:
        with open(path, "rb") as file:
            return [json.loads(line) for line in file if line.endswith(b"\n")]
    except FileNotFoundError:
        return []


def _drop_cut_line(path):
    """Remove a last line without an end, which a killed Collector left and never accepted."""
    try:
        with open(path, "r+b") as file:
            content = file.read()
            if not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
    except FileNotFoundError:
        pass


class _Interrupted(BaseException):
    """SIGINT or SIGTERM came; a BaseException, like KeyboardInterrupt, so that it gets through."""


def _interrupt(number, _frame):
    # Once is enough: what follows is bounded, and is not to be cut short.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    raise _Interrupted(number)


def _print_addresses(b):
    rows = [("Collector, OTLP/HTTP", b.otlp_http), ("Collector, OTLP/gRPC", b.otlp_grpc),
            ("Jaeger, query", b.jaeger_query), ("traces file", b.traces_file),
            ("logs file", b.logs_file), ("metrics file", b.metrics_file),
            ("processes", "collector %s, jaeger %s" % (b.collector.pid, b.jaeger.pid))]
    for what, value in rows:
        print("%-22s%s" % (what, value))
    print("ready", flush=True)


def _run_command(command, b):
    environment = dict(os.environ, OTEL_EXPORTER_OTLP_ENDPOINT=b.otlp_http,
                       JAEGER_QUERY_URL=b.jaeger_query, COLLECTOR_TRACES_FILE=b.traces_file,
                       COLLECTOR_LOGS_FILE=b.logs_file, COLLECTOR_METRICS_FILE=b.metrics_file)
    with _spawn(command, env=environment) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def _wait_for_end(b):
    while True:
        for service in b._services():
            if service.wait(0.5):
                raise BackendError("%s ended by itself" % service.name)


def main():
    parser = argparse.ArgumentParser(
        prog="deploy/backends up",
        description="Run a Collector and a Jaeger until interrupted, or while COMMAND runs.")
    parser.add_argument("--free-ports", action="store_true",
                        help="use any free ports, not the default ones")
    parser.add_argument("--folder", help="keep logs and files here, not in a temporary folder")
    parser.add_argument("command", nargs="*",
                        help="run this, with OTEL_EXPORTER_OTLP_ENDPOINT and JAEGER_QUERY_URL "
                             "set, and return its exit status")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    folder = arguments.folder or tempfile.mkdtemp(prefix="sonde-backends-")
    try:
        with Backends(folder, default_ports=not arguments.free_ports) as b:
            _print_addresses(b)
            if arguments.command:
                return _run_command(arguments.command, b)
            _wait_for_end(b)
    except _Interrupted as interrupt:
        return 128 + interrupt.args[0] if arguments.command else 0
    except BackendError as error:
        print("backends: %s" % error, file=sys.stderr)
        return 1
    finally:
        if not arguments.folder:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
