# SPDX-License-Identifier: Apache-2.0
"""Runs the host program and looks at it from outside while it lives: /proc, its output, its exit."""
import os
import subprocess
import threading

from fault import WRAP, Facts, FaultCase

HOST = os.environ.get("SONDE_HOST", "")
IS_PLAIN = os.environ.get("SONDE_SANITIZE", "none") == "none" and not WRAP
FAULTS = {4, 5, 6, 7, 8, 11, 31}  # ILL TRAP ABRT BUS FPE SEGV SYS
CANNOT_BE_BLOCKED = {9, 19, 32, 33}  # KILL STOP, and the two that the C library keeps for itself


class Host:
    """A running host. What it prints is kept; `until` waits for its "ready" lines."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.lines, self.stderr = [], []
        self.reader = threading.Thread(target=lambda: self.stderr.extend(self.process.stderr))
        self.reader.start()

    def until_ready(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("ready "):
                return
        raise AssertionError(f"it ended: {self.facts().stderr}")

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def facts(self):
        self.lines.extend(self.process.stdout)
        self.process.wait()
        self.reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        return Facts("".join(self.lines), self.process.returncode, "".join(self.stderr))

    def threads(self):
        """comm -> the fields of /proc/PID/task/TID/status, one for each thread."""
        found = []
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{tid}/status") as status:
                found.append(dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line))
        return found

    def boxes(self):
        """Mappings of box files, memfds among them: path -> permissions."""
        with open(f"/proc/{self.pid}/maps") as maps:
            lines = [line.split(None, 5) for line in maps]
        return {line[5].strip(): line[1] for line in lines
                if len(line) > 5 and (".box" in line[5] or "memfd:sonde" in line[5])}


def blocked(thread):
    mask = int(thread["SigBlk"], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


class HostCase(FaultCase):
    def command(self, *arguments):
        return [*WRAP, HOST, *map(str, arguments)]

    def otlp(self, endpoint, **more):
        return {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "none",
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "SONDE_RETRY_INITIAL": 10, **more}

    def host(self, *arguments, **environment):
        """A host that stays until the driver lets it go on."""
        host = Host(self.command(*arguments), self.environment(**environment))
        self.addCleanup(self.end, host)
        return host

    @staticmethod
    def end(host):
        if host.process.poll() is None:
            host.process.kill()
            host.facts()

    def run_host(self, *arguments, timeout=120, wrapped=(), **environment):
        done = subprocess.run([*wrapped, *self.command(*arguments)], env=self.environment(**environment),
                              timeout=timeout, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace")
        facts = Facts(done.stdout, done.returncode, done.stderr)
        self.assertEqual(facts.returncode, 0, f"{arguments}: {facts.stderr}\n{facts.text}")
        return facts

    def captured(self, facts, signal=0):
        found = [account for account in facts.accounts() if account[0] == signal]
        self.assertTrue(found, facts.text + facts.stderr)
        return found[-1][1:]


def said(facts, words):
    return [line for line in facts.stderr.splitlines() if words in line]
