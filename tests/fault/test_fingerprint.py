# SPDX-License-Identifier: Apache-2.0
"""Fingerprints over real builds: a program with known bugs is compiled again and again in other ways."""
import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from fault import FaultCase, attributes  # noqa: E402

SANITIZE = os.environ["SONDE_SANITIZE"]
LIBRARY = os.environ["SONDE_LIBRARY"]
INCLUDES = os.environ["SONDE_INCLUDES"].split(":")
COMPILER = os.environ["SONDE_CC"].split()
with open(os.path.join(HERE, "bugs.c")) as source:
    BUGS = source.read()

FUNCTIONS = """
__attribute__((noinline, used)) static int more%d(int n)
{
	volatile int sum = 0;
	for (int i = 0; i < n; i++)
		sum += i * i;
	return sum;
}
"""


class BugsCase(FaultCase):
    def build(self, name, *flags, more="", folder="build"):
        """Returns the program; `more` takes the place of each MORE at the top level."""
        text = BUGS
        for n in range(text.count("\n/* MORE */")):
            text = text.replace("\n/* MORE */", "\n" + (more % n if "%d" in more else more), 1)
        text = text.replace("\t/* MORE */", "\n" * 7 if more else "")
        os.makedirs(os.path.join(self.folder, folder), exist_ok=True)
        path = os.path.join(self.folder, folder, "bugs.c")
        program = os.path.join(self.folder, name)
        with open(path, "w") as out:
            out.write(text)
        sanitizers = [] if SANITIZE == "none" else ["-fsanitize=" + SANITIZE]
        subprocess.run([*COMPILER, "-std=c11", "-O2", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls",
                        *sanitizers, *flags, *("-I" + include for include in INCLUDES), path, "-o", program,
                        LIBRARY, "-Wl,-rpath," + os.path.dirname(LIBRARY), "-pthread"], check=True)
        return program

    def run_together(self, program, n, **environment):
        """Bug -> its attributes, of n processes that run at once."""
        processes = []
        for i in range(n):
            settings = self.environment(OTEL_SERVICE_NAME="bugs", OTEL_METRICS_EXPORTER="none", **environment)
            settings["SONDE_FILE_PATH"] = f"{self.path}{i}"
            processes.append(subprocess.Popen([program], env=settings, stdin=subprocess.DEVNULL,
                                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        for process in processes:
            _, said = process.communicate(timeout=60)
            self.assertEqual((process.returncode, said), (0, ""))
        return [self.read_log(f"{self.path}{i}.logs.jsonl") for i in range(n)]

    def read_log(self, log):
        found = {}
        with open(log) as lines:
            for line in lines:
                for resource in json.loads(line)["resourceLogs"]:
                    for record in resource["scopeLogs"][0]["logRecords"]:
                        facts = attributes(record)
                        if "bug" in facts:
                            found[facts["bug"]] = facts
        os.unlink(log)
        self.assertEqual(len(found), 14)
        return found

    def run_program(self, program):
        """Bug -> fingerprint."""
        found, = self.run_together(program, 1)
        for facts in found.values():
            self.assertRegex(facts["sonde.error.fingerprint"], "^[0-9a-f]{16}$")
        return {bug: facts["sonde.error.fingerprint"] for bug, facts in found.items()}


class Fingerprints(BugsCase):

    def check_apart(self, found):
        """What is one bug and what is not, in any build."""
        self.assertEqual(found["declined"], found["declined on another line"])
        self.assertEqual(found["closed"], found["closed, too"])
        self.assertEqual(found["3 deep"], found["9 deep"])
        self.assertNotEqual(found["reading"], found["writing"], "a helper swallowed its callers")
        apart = ["declined", "too old", "not known", "reading", "writing", "3 deep", "wrapped", "wrapped otherwise",
                 "inlined at the root", "inlined in the middle", "closed"]
        self.assertEqual(len({found[bug] for bug in apart}), len(apart), found)

    def test_builds(self):
        """Other addresses, lines, folders, position independence, debug information, library order."""
        first = self.run_program(self.build("first"))
        self.check_apart(first)
        for name, build in {
            "again": {},
            "moved": {"more": FUNCTIONS},
            "lines": {"more": "\n\n\n\n\n/* Nothing. */\n\n"},
            "elsewhere": {"folder": "a/b/c"},
            "debug": {"flags": ["-g"]},
            "fixed": {"flags": ["-no-pie", "-fno-pie"], "more": FUNCTIONS},
            "sections": {"flags": ["-ffunction-sections", "-Wl,--gc-sections", "-Wl,--sort-section=name"]},
            "now": {"flags": ["-Wl,-z,now", "-Wl,--no-as-needed", "-lm"]},
            "no-build-id": {"flags": ["-Wl,--build-id=none"]},
        }.items():
            with self.subTest(name):
                program = self.build(name, *build.pop("flags", []), **build)
                self.assertEqual(self.run_program(program), first)
                self.assertEqual(self.run_program(program), first, "another address layout")

    def test_optimization(self):
        """Functions that are not inlined, or only where they raise, are the same at any level."""
        optimized = self.run_program(self.build("optimized", "-O2"))
        for level in ("-O0", "-O1", "-Os", "-O3"):
            with self.subTest(level):
                found = self.run_program(self.build("level" + level, level, more=FUNCTIONS))
                self.check_apart(found)
                middle = "inlined in the middle"
                # A caller that was inlined has no frame of its own: known, see docs/design/fingerprint.md.
                if level == "-O0":
                    self.assertNotEqual(found.pop(middle), optimized[middle])
                self.assertEqual({**optimized, **found}, {**found, middle: optimized[middle]})

    def test_stripped(self):
        """Without names it is the build that counts: the same over runs, and no less apart."""
        program = self.build("stripped", "-s")
        first = self.run_program(program)
        self.check_apart_where_raised(first)
        self.assertNotEqual(first["reading"], first["writing"], "a helper swallowed its callers")
        self.assertEqual(self.run_program(program), first)
        self.assertEqual(self.run_program(self.build("stripped-again", "-s")), first, "the same build elsewhere")
        other = self.run_program(self.build("stripped-other", "-s", more=FUNCTIONS))
        self.check_apart_where_raised(other)
        # What was raised in has its name by the macro, and the caller's text is what it is.
        self.assertEqual(other["closed"], first["closed"])

    def check_apart_where_raised(self, found):
        apart = ["declined", "too old", "not known", "wrapped", "wrapped otherwise", "inlined at the root"]
        self.assertEqual(len({found[bug] for bug in apart}), len(apart), found)

    def test_without_frame_pointers(self):
        """A stack may be one frame: types, places and formats still tell bugs apart, over runs and builds."""
        flags = ["-fomit-frame-pointer"]
        found = self.run_program(self.build("pointers", *flags))
        self.check_apart_where_raised(found)
        self.assertEqual(self.run_program(self.build("pointers-again", *flags, more="\n\n")), found)


class Seen(BugsCase):
    """The set of known bugs behind whole processes: one says that a bug is new, the next releases do not."""

    def fingerprints_saying(self, logs, what):
        return [facts["sonde.error.fingerprint"] for log in logs for facts in log.values() if facts.get(what)]

    def test_over_processes_and_releases(self):
        state = os.path.join(self.folder, "state")
        first = self.build("first")
        logs = self.run_together(first, 6, SONDE_STATE_DIRECTORY=state)
        known = {facts["sonde.error.fingerprint"] for facts in logs[0].values()}
        # Once each: not by every process, and not by every error of the bug.
        self.assertEqual(sorted(self.fingerprints_saying(logs, "sonde.error.first_seen")), sorted(known))
        self.assertEqual(os.listdir(state), ["bugs.seen"])
        rebuilt = self.build("rebuilt", more=FUNCTIONS)
        logs = self.run_together(rebuilt, 2, SONDE_STATE_DIRECTORY=state,
                                 OTEL_RESOURCE_ATTRIBUTES="service.version=1.9")
        self.assertEqual(self.fingerprints_saying(logs, "sonde.error.first_seen"), [])
        self.assertEqual(self.fingerprints_saying(logs, "sonde.error.regressed"), [])
        back = logs[0]["declined"]["sonde.error.fingerprint"]
        with open(os.path.join(state, "bugs.resolved"), "w") as marks:
            marks.write(f"{back} 1.10\n")
        for version, expected in (("1.9", []), ("1.10", [back]), ("1.11", [])):
            logs = self.run_together(rebuilt, 3, SONDE_STATE_DIRECTORY=state,
                                     OTEL_RESOURCE_ATTRIBUTES="service.version=" + version)
            self.assertEqual(self.fingerprints_saying(logs, "sonde.error.regressed"), expected, version)
            self.assertEqual(self.fingerprints_saying(logs, "sonde.error.first_seen"), [])

    def test_nowhere_to_write(self):
        """Each process then says it once a bug, and why."""
        state = os.path.join(self.folder, "state")
        with open(state, "w"):
            pass
        program = self.build("first")
        done = subprocess.run([program], env=self.environment(SONDE_STATE_DIRECTORY=state), capture_output=True,
                              text=True, timeout=60, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr.count("the directory cannot be opened: Not a directory"), 1, done.stderr)
        found = self.read_log(self.path + ".logs.jsonl")
        self.assertEqual(len(self.fingerprints_saying([found], "sonde.error.first_seen")),
                         len({facts["sonde.error.fingerprint"] for facts in found.values()}))


if __name__ == "__main__":
    unittest.main()
