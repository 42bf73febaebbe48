# SPDX-License-Identifier: Apache-2.0
"""Builds what the suites need, runs them, and closes with one line of figures.

A suite runs in one or more builds: the same tests under AddressSanitizer and UndefinedBehaviorSanitizer,
ThreadSanitizer and valgrind. What is left out of a build is named below with its reason, and printed.
Builds live in the cache folder, so that a second run only rebuilds what changed.
"""
import ctypes
import glob
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import arm64

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "sonde")
BUILD_ROOT = os.path.join(CACHE, "tests-" + hashlib.sha256(ROOT.encode()).hexdigest()[:12])

TESTS = ["-Dtests=true"]
BUILDS = {
    "debug": TESTS + ["-Dbuildtype=debugoptimized", "-Dtestpoints=true", "-Dwerror=true", "-Dexamples=true"],
    "asan": TESTS + ["-Dbuildtype=debugoptimized", "-Dtestpoints=true", "-Db_sanitize=address,undefined",
                     "-Db_lundef=false"],
    "tsan": TESTS + ["-Dbuildtype=debugoptimized", "-Dtestpoints=true", "-Db_sanitize=thread",
                     "-Db_lundef=false"],
    # Another machine's memory model, page sizes and char; without the libraries that libsonde-otlp and libsonde-symbols need.
    "arm64": TESTS + ["-Dbuildtype=debugoptimized", "-Dtestpoints=true", "-Dwerror=true", "-Dotlp=disabled",
              "-Dsymbols=disabled"],
    "release": TESTS + ["-Dbuildtype=release", "-Dexamples=true", "-Dwerror=true"],
}

# suite -> the builds it runs in; "valgrind" is the debug build under valgrind.
PLAN = {
    "unit": ["debug", "asan", "tsan", "valgrind"],
    "arm64": ["arm64"],
    "interleave": ["debug", "tsan"],
    "model": ["debug"],
    "stress": ["release", "tsan"],
    "fault": ["debug", "asan", "tsan", "valgrind"],
    "fuzz": ["debug", "asan"],
    "abi": ["release"],
    "scale": ["release"],
    "e2e": ["release"],
    "bench": ["release"],
}
# A suite whose tests are those of another.
TESTS_OF = {"arm64": "unit"}
DEFAULT = ["unit", "arm64", "interleave", "model", "stress", "fault", "fuzz", "abi", "scale", "e2e", "bench"]

# (build, test name prefix) -> why it does not run there.
LEFT_OUT = {
    ("tsan", "base-process"): "its thread leader exits before its process, which ThreadSanitizer does not support",
    ("tsan", "interleave-explore"): "it changes stacks by swapcontext, which ThreadSanitizer does not follow",
    ("tsan", "fault-fork"): "ThreadSanitizer does not support threads in the child of a threaded process",
    ("tsan", "fault-exchange"): "ThreadSanitizer does not support threads in the child of a threaded process",
    ("tsan", "fault-host-files"): "closing descriptors that others use is its point, and a race to ThreadSanitizer",
    ("tsan", "fault-observe-fork"): "ThreadSanitizer does not support threads in the child of a threaded process",
    ("tsan", "fault-scope-fork"): "ThreadSanitizer does not support threads in the child of a threaded process",
    ("tsan", "resilience-group_fork"): "ThreadSanitizer does not support threads in the child of a threaded process",
    ("tsan", "resilience-pool_fork"): "ThreadSanitizer does not support threads in the child of a threaded process",
    ("tsan", "resilience-watchdog_fork"): "ThreadSanitizer does not support threads in the child of a threaded process",
    ("tsan", "fault-symbols-fork"): "ThreadSanitizer does not support threads in the child of a threaded process",
    ("asan", "fault-symbols-fork"): "AddressSanitizer's allocator stays locked in the child of a threaded process",
    ("asan", "fault-fork"): "AddressSanitizer's allocator stays locked in the child of a threaded process",
    ("asan", "fault-exchange"): "AddressSanitizer's allocator stays locked in the child of a threaded process",
    ("asan", "fault-observe-fork"): "AddressSanitizer's allocator stays locked in the child of a threaded process",
    ("asan", "fault-scope-fork"): "AddressSanitizer's allocator stays locked in the child of a threaded process",
    ("asan", "resilience-group_fork"): "AddressSanitizer's allocator stays locked in the child of a threaded process",
    ("asan", "resilience-pool_fork"): "AddressSanitizer's allocator stays locked in the child of a threaded process",
    ("asan", "resilience-watchdog_fork"): "AddressSanitizer's allocator stays locked in the child of a threaded process",
    ("arm64", "base-process"): "qemu-user waits for ever where a thread leader ends before its process",
    ("arm64", "box-dead"): "qemu-user waits for ever where a thread leader ends before its process",
    ("arm64", "box-open"): "qemu-user says that a thread has ended before it has, and the sweep asks which live",
    ("arm64", "error-object"): "it forbids system calls by seccomp, which qemu-user does not offer",
    ("arm64", "stack-module"): "it forbids a system call by seccomp, which qemu-user does not offer",
    ("arm64", "stack-static"): "it expects a walked stack, and stacks are walked on x86-64 alone",
    ("arm64", "resilience-breaker_shared"): "qemu-user makes up the time a process began, by which dead ones are known",
    ("arm64", "resilience-bulkhead_shared"): "qemu-user makes up the time a process began, by which dead ones are known",
    ("arm64", "resilience-group_fork"): "qemu-user fails itself in the child of a process with threads",
    ("arm64", "resilience-pool_fork"): "qemu-user fails itself in the child of a process with threads",
    ("arm64", "resilience-watchdog_fork"): "qemu-user fails itself in the child of a process with threads",
    ("valgrind", "base-clock"): "under valgrind the counter and the clock run at speeds of their own",
    ("valgrind", "box-box"): "its children leave in the middle of a write on purpose, which valgrind calls a leak",
    ("valgrind", "stack-static"): "in a static program valgrind cannot replace the C library's string functions",
    ("valgrind", "context-identity"): "its timer's signals leave valgrind no time for anything else",
    ("valgrind", "exporters-memory"): "its child forgets what its parent held, which valgrind calls lost",
    ("valgrind", "capture-quiet"): "it counts allocations and forbids system calls, which valgrind makes itself",
    ("valgrind", "unwind-reference"): "libunwind probes memory by writing it to a pipe, whoever wrote it or did not",
    ("valgrind", "fault-fork"): "a child keeps what its parent's worker had allocated, which valgrind calls lost",
    ("valgrind", "fault-exchange"): "a child keeps what its parent's worker had allocated, which valgrind calls lost",
    ("valgrind", "fault-collector"): "its deadlines are in milliseconds, and a handshake under valgrind takes seconds",
    ("valgrind", "fault-host"): "it measures memory, deadlines and what the kernel refuses, all valgrind's own then",
    ("valgrind", "fault-plugin"): "it counts mappings, and valgrind makes some of its own",
    ("valgrind", "fault-webhook"): "its deadlines are in milliseconds, and a handshake under valgrind takes seconds",
    ("valgrind", "fault-flood"): "valgrind runs one thread at a time, and a flood leaves the worker hardly a turn",
    ("valgrind", "resilience-pool_fork"): "a child keeps what its parent's threads had allocated, which valgrind calls lost",
    ("valgrind", "fault-observe-fork"): "a child keeps what its parent's worker had allocated, which valgrind calls lost",
    ("valgrind", "fault-scope-fork"): "a child keeps what its parent's worker had allocated, which valgrind calls lost",
    ("valgrind", "fault-quiet"): "it counts allocations and forbids system calls, which valgrind makes itself",
}

ENVIRONMENT = {
    "stress": {"release": {"SONDE_STRESS_SECONDS": os.environ.get("SONDE_STRESS_SECONDS", "60")},
               "tsan": {"SONDE_STRESS_SECONDS": "10"}},
}
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:die_after_fork=0",
}
VALGRIND = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite",
            "--trace-children=no", "--suppressions=" + os.path.join(ROOT, "tests/support/valgrind.supp")]


class Totals:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []


def call(command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, **options)


def build(name):
    folder = os.path.join(BUILD_ROOT, name)
    log = os.path.join(BUILD_ROOT, name + ".log")
    os.makedirs(BUILD_ROOT, exist_ok=True)
    configured = os.path.exists(os.path.join(folder, "build.ninja"))
    setup = ["meson", "setup", *(["--reconfigure"] if configured else []), folder, ROOT, *BUILDS[name]]
    setup += ["--cross-file", arm64.prepare(CACHE)] if name == "arm64" else []
    started = time.monotonic()
    with open(log, "w") as output:
        ok = all(call(step, stdout=output, stderr=subprocess.STDOUT).returncode == 0
                 for step in (setup, ["ninja", "-C", folder]))
    print(f"built {name} in {time.monotonic() - started:.0f} s", flush=True)
    if not ok:
        with open(log) as output:
            sys.stdout.writelines(output.readlines()[-40:])
    return folder if ok else None


def tests_of(folder, suite):
    """The suite's tests: name -> whether it is a script that starts programs."""
    text = call(["meson", "introspect", "--tests", folder], stdout=subprocess.PIPE, check=True).stdout
    return {test["name"]: "python" in os.path.basename(test["cmd"][0]) for test in json.loads(text)
            if any(s.split(":")[-1] == suite for s in test["suite"])}


def left_out(name, test):
    return next((why for (b, prefix), why in LEFT_OUT.items() if b == name and test.startswith(prefix)), None)


def choose(suite, name, folder):
    chosen = {}
    for test, is_script in tests_of(folder, TESTS_OF.get(suite, suite)).items():
        why = left_out(name, test)
        if why:
            print(f"  left out of {name}: {test}: {why}", flush=True)
        else:
            chosen[test] = is_script
    return chosen


def run_suite(suite, name, folder, totals):
    """Programs are wrapped by valgrind as they are; scripts are told to wrap what they start."""
    chosen = choose(suite, name, folder)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SONDE_"))}
    environment.update(SANITIZERS, **ENVIRONMENT.get(suite, {}).get(name, {}))
    # The tests' own servers are here, whatever proxy this machine needs for others.
    past = [environment.get("no_proxy") or environment.get("NO_PROXY"), "127.0.0.1,localhost"]
    environment["no_proxy"] = ",".join(filter(None, past))
    started = time.monotonic()
    results = {}
    for is_script in (False, True):
        tests = [test for test in chosen if chosen[test] == is_script]
        extra = []
        if name == "valgrind" and is_script:
            environment["SONDE_WRAP"] = " ".join(VALGRIND)
        elif name == "valgrind":
            extra = ["--wrap", " ".join(VALGRIND)]
        if tests:
            results.update(run_tests(suite, name, folder, tests, extra, environment))
    if chosen:
        collect(results, f"{suite}/{name}", list(chosen), totals, time.monotonic() - started)


def run_tests(suite, name, folder, tests, extra, environment):
    log = f"sonde-{suite}-{name}"
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--suite", TESTS_OF.get(suite, suite), "--logbase", log,
               "--num-processes", "2" if suite in ("unit", "arm64", "fuzz") else "1",
               "--timeout-multiplier", {"valgrind": "10", "asan": "4", "tsan": "4", "arm64": "4"}.get(name, "1")]
    call(command + extra + tests, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return read_results(os.path.join(folder, "meson-logs", log + ".json"))


def read_results(path):
    """By test name. A wrapper's name (valgrind) is added to the log's by meson."""
    results = {}
    for found in glob.glob(path.replace(".json", "*.json")):
        with open(found) as lines:
            for line in lines:
                entry = json.loads(line)
                results[entry["name"].split(" / ")[-1].split(":")[-1]] = entry
        os.unlink(found)
    return results


def collect(results, title, chosen, totals, seconds):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for test in chosen:
        entry = results.get(test, {"result": "MISSING"})
        if entry["result"] == "OK":
            counts["passed"] += 1
            continue
        kind = "skipped" if entry["result"] == "SKIP" else "failed"
        counts[kind] += 1
        getattr(totals, kind).append(f"{title}/{test}")
        print(f"  {kind} ({entry['result']}): {title}/{test}")
        text = (entry.get("stdout") or "") + (entry.get("stderr") or "")
        for line in text.splitlines()[-(60 if kind == "failed" else 3):]:
            print("    | " + line)
    totals.passed += counts["passed"]
    print(f"{title}: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
          f" ({seconds:.0f} s)", flush=True)


def own_children():
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        return [int(pid) for pid in children.read().split()]


def reap_left_behind(totals):
    """We are the subreaper: a process that a test left behind has become our child."""
    deadline = time.monotonic() + 5
    while own_children() and time.monotonic() < deadline:
        if os.waitpid(-1, os.WNOHANG) == (0, 0):
            time.sleep(0.05)
    for pid in own_children():
        with open(f"/proc/{pid}/cmdline", "rb") as command:
            text = command.read().replace(b"\0", b" ").decode(errors="replace").strip()
        print(f"  left behind: process {pid}: {text}")
        totals.failed.append(f"process left behind: {text}")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def boxes():
    folder = f"/dev/shm/sonde-{os.geteuid()}"
    return set(os.listdir(folder)) if os.path.isdir(folder) else set()


def run_all(suites, totals):
    folders = {}
    for suite in suites:
        for name in PLAN[suite]:
            base = "debug" if name == "valgrind" else name
            if base not in folders:
                folders[base] = build(base)
                if not folders[base]:
                    totals.failed.append(f"build {base}")
            if folders[base]:
                run_suite(suite, name, folders[base], totals)
        reap_left_behind(totals)


def main(arguments):
    suites = arguments or DEFAULT
    unknown = [suite for suite in suites if suite not in PLAN]
    if unknown:
        print(f"no such suite: {' '.join(unknown)}; there are: {' '.join(PLAN)}")
        return 2
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    totals = Totals()
    boxes_before = boxes()
    run_all(suites, totals)
    for box in boxes() - boxes_before:
        print(f"  left behind: {box}")
        totals.failed.append(f"file left behind: {box}")
    for failure in totals.failed:
        print(f"FAILED {failure}")
    for skip in totals.skipped:
        print(f"SKIPPED {skip}")
    print(f"{totals.passed} passed, {len(totals.failed)} failed, {len(totals.skipped)} skipped", flush=True)
    return 1 if totals.failed or not totals.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
