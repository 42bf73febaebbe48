# SPDX-License-Identifier: Apache-2.0
"""Explores the ring's memory orders by loom: the cases in loom/tests/ring.rs, and each order weakened once.

Cargo builds into the cache folder; the crates that loom needs come from crates.io at the first run, in the
versions of Cargo.lock.
"""
import os
import re
import shutil
import subprocess
import sys

CRATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "loom")
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "sonde")


def main():
    cargo = shutil.which("cargo") or shutil.which("cargo", path=os.path.expanduser("~/.cargo/bin"))
    if not cargo:
        print("skipped: cargo is not installed")
        return 77
    environment = dict(os.environ, CARGO_TARGET_DIR=os.path.join(CACHE, "loom"))
    environment["PATH"] = os.path.dirname(cargo) + os.pathsep + environment["PATH"]
    run = subprocess.run([cargo, "test", "--quiet", "--locked", "--manifest-path", os.path.join(CRATE, "Cargo.toml"),
                          "--", "--nocapture", "--test-threads", "2"], env=environment, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = run.stdout.splitlines()
    # A seed that is found panics, in many words: of interest only where something else is wrong.
    for line in lines if run.returncode else [line for line in lines if re.search(r" executions, |^without ", line)]:
        print(line)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
