# SPDX-License-Identifier: Apache-2.0
"""Explores ring.pml by SPIN: every case wholly and without an error, and every seeded bug found.

A case that was cut short (depth, memory) fails, and so does a statement that no case reaches: what is not
reached proves nothing. `test_spin.py CASE [BUG]` runs one and prints SPIN's trail of an error.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ring.pml")
DEPTH = 20000
BASE = dict(WRITERS=2, RECORDS=2, BLOCKS=2, GRANULES=2, SIZES=2, DEATHS=1, DISCARDS=0, HELD=1, ORDER=2,
            NUMBERS=255, WRAPS=0)

# RECORDS is each writer's; HELD is the reader's list.
CASES = {
    "two writers at a block's end": dict(),
    "three writers": dict(WRITERS=3, RECORDS=1),
    "blocks that come round": dict(RECORDS=3, GRANULES=1, SIZES=1, DEATHS=0),
    "three blocks": dict(BLOCKS=3, GRANULES=1, SIZES=1, ORDER=4, HELD=2),
    "discards, and releases in any order": dict(GRANULES=1, SIZES=1, DISCARDS=1, HELD=2),
    "a block's number that wraps": dict(RECORDS=3, GRANULES=1, SIZES=1, NUMBERS=2, WRAPS=1),
}

# A seeded bug, and the case that must find it.
BUGS = {
    "HAND_OUT_EARLY": "two writers at a block's end",  # Handed out without counting: a sleeper is inside.
    "DONE_EARLY": "two writers at a block's end",  # Handed out while the reader's caller has a record.
    "SEAL_STORE": "two writers at a block's end",  # The seal is a load and a store.
    "NO_SEAL": "two writers at a block's end",
    "NO_OPEN": "two writers at a block's end",  # Writers do not look whether the block is sealed.
    "NO_NUMBER": "blocks that come round",  # Nor under which number it is open.
    "WORD_STORE": "two writers at a block's end",  # A reservation is a load and a store.
    "HEAD_STORE": "blocks that come round",  # So is the head's move.
    "COMMIT_EARLY": "two writers at a block's end",  # Marked before it is written.
    "MAP_DIRTY": "blocks that come round",
    "ORDER_LATE": "three blocks",  # The tail moves before the order's entry is there.
    "FULL": "two writers at a block's end",  # The test for full is off by one.
}


def run(command, folder):
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True).stdout


def explore(case, bug=None, is_verbose=False):
    """(errors, states, seconds, what was not reached, SPIN's words if it did not finish)"""
    defines = [f"-D{key}={value}" for key, value in {**BASE, **CASES[case]}.items()]
    defines += [f"-DBUG_{bug}"] if bug else []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sonde-spin-") as folder:
        said = run(["spin", "-a", *defines, MODEL], folder)
        said += run(["gcc", "-O1" if bug else "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=4000",
                     "-o", "pan", "pan.c"], folder)
        if not os.path.exists(os.path.join(folder, "pan")):
            return None, 0, 0, set(), said
        text = run(["./pan", f"-m{DEPTH}", "-w24"], folder)
        if is_verbose:
            print(text)
            trail = [name for name in os.listdir(folder) if name.endswith(".trail")]
            if trail:
                print(run(["spin", "-t", "-p", "-g", "-l", "-k", os.path.join(folder, trail[0]), *defines, MODEL],
                          folder))
    errors = re.search(r"errors: (\d+)", text)
    states = re.search(r"(\d+) states, stored", text)
    cut = [line for line in text.splitlines()
           if re.search(r"max search depth too small|out of memory|not completed|reached -DMEMLIM", line)]
    is_whole = errors and states and not (cut and not int(errors.group(1)))
    unreached = set(re.findall(r"ring\.pml:(\d+), state \d+, \"(.*)\"", text))
    return (int(errors.group(1)) if is_whole else None, int(states.group(1)) if states else 0,
            time.monotonic() - started, unreached, "" if is_whole else text)


def check_cases(pool):
    faults = []
    never = None
    for case, result in zip(CASES, pool.map(explore, CASES)):
        errors, states, seconds, unreached, said = result
        print(f"{case}: {errors} errors, {states} states, {seconds:.0f} s", flush=True)
        if errors != 0:
            faults.append(f"{case}: {said or 'an error: run this program with the name of the case'}")
        never = unreached if never is None else never & unreached
    for line, text in sorted(never):
        faults.append(f"no case reaches ring.pml:{line}: {text}")
    return faults


def check_bugs(pool):
    faults = []
    for bug, result in zip(BUGS, pool.map(explore, BUGS.values(), BUGS)):
        errors, states, seconds, _, said = result
        print(f"seeded bug {bug}: {'found' if errors else 'NOT FOUND'}, {states} states, {seconds:.0f} s", flush=True)
        if not errors:
            faults.append(f"seeded bug {bug} is not found: {said}")
    return faults


def main(arguments):
    if not shutil.which("spin"):
        print("skipped: spin is not installed")
        return 77
    if arguments:
        explore(*arguments, is_verbose=True)
        return 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        faults = check_bugs(pool) + check_cases(pool)
    for fault in faults:
        print("FAILED " + fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
