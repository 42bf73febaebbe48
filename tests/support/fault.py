# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: run the probe, read its facts, read what its file exporter wrote."""
import collections
import glob
import json
import os
import shlex
import subprocess
import tempfile
import unittest

PROBE = os.environ.get("SONDE_PROBE", "")
WRAP = shlex.split(os.environ.get("SONDE_WRAP", ""))  # valgrind and its arguments, or nothing


class Facts:
    """The probe's "key value…" lines."""

    def __init__(self, text, returncode, stderr):
        self.text, self.returncode, self.stderr = text, returncode, stderr
        self.lines = [line.split() for line in text.splitlines() if line.strip()]

    def all(self, key):
        return [line[1:] for line in self.lines if line[0] == key]

    def one(self, key):
        found = self.all(key)
        assert len(found) == 1, f"{key}: {found} in {self.text!r}"
        return found[0]

    def accounts(self):
        """(signal, captured, exported, queued, lost) of every process that printed one."""
        return [tuple(int(word) for word in words) for words in self.all("account")]


def attributes(item):
    return {a["key"]: next(iter(a["value"].values()), None) for a in item.get("attributes", [])}


class FaultCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sonde-fault-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "out")

    def environment(self, **more):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
        environment.update(OTEL_TRACES_EXPORTER="file", OTEL_LOGS_EXPORTER="file", SONDE_FILE_PATH=self.path,
                           SONDE_BOX_DIRECTORY=self.box_directory())
        environment.update({k: str(v) for k, v in more.items()})
        return environment

    def box_directory(self):
        """A folder of the test's own on tmpfs, so that boxes of other tests do not matter."""
        if not hasattr(self, "boxes"):
            boxes = tempfile.TemporaryDirectory(prefix="sonde-fault-", dir="/dev/shm")
            self.addCleanup(boxes.cleanup)
            self.boxes = boxes.name
        return self.boxes

    def probe(self, *arguments, timeout=120, **environment):
        done = subprocess.run([*WRAP, PROBE, *map(str, arguments)], env=self.environment(**environment), timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return Facts(done.stdout, done.returncode, done.stderr)

    def spans(self):
        """Every exported span, from the file exporter's OTLP/JSON lines."""
        found = []
        for path in glob.glob(self.path + "*"):
            with open(path) as lines:
                for line in lines:
                    for resource in json.loads(line).get("resourceSpans", []):
                        for scope in resource["scopeSpans"]:
                            found.extend(scope["spans"])
        return found

    def names(self):
        return collections.Counter(span["name"] for span in self.spans())

    def assert_balanced(self, facts):
        accounts = facts.accounts()
        self.assertTrue(accounts, facts.stderr)
        for signal, captured, exported, queued, lost in accounts:
            self.assertEqual(captured, exported + queued + lost, f"signal {signal}: {accounts}\n{facts.stderr}")
