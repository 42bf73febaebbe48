# SPDX-License-Identifier: Apache-2.0
"""The models follow the C by hand. This fails when a function that they follow changes alone.

modelled.txt has a line for each function of the ring: file, function, a digest of its text (without
comments, white space and test points), and where it is modelled, or why it is not. When a function has
changed: bring ring.pml and loom/src/ring.rs up to date, then run `python3 tests/model/test_drift.py --update`.
"""
import hashlib
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TABLE = os.path.join(HERE, "modelled.txt")
MODELS = ("ring.pml", "loom/src/ring.rs")
WHOLE = ("src/box/ring.c", "src/box/ring_inline.h", "src/box/reader.c")  # All their functions are in the table.


def functions_of(text):
    """name -> normalised text, of each function that begins and ends in the first column."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"\n[ \t]*SONDE__TESTPOINT\([^;]*\);", "", text)
    found = {}
    for match in re.finditer(r"^[A-Za-z][^;{}#]*?\b(\w+)\([^;{}#]*\)\n\{\n.*?^\}", text, flags=re.S | re.M):
        found[match.group(1)] = " ".join(re.findall(r"\w+|\S", match.group()))
    return found


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_table():
    with open(TABLE) as lines:
        return [line.split(maxsplit=3) for line in lines if line.strip() and not line.startswith("#")]


def comments_of_models():
    text = ""
    for name in MODELS:
        path = os.path.join(HERE, name)
        if os.path.exists(path):
            with open(path) as model:
                text += model.read()
    return text


def check(rows, sources, models):
    listed = {(path, name) for path, name, _, _ in rows}
    for path in WHOLE:
        for name in sources[path]:
            if (path, name) not in listed:
                yield f"{path}: {name} is new: model it, or say in modelled.txt why not"
    for path, name, known, where in rows:
        if name not in sources[path]:
            yield f"{path}: {name} is gone: bring the models and modelled.txt up to date"
        elif digest(sources[path][name]) != known:
            yield (f"{path}: {name} changed, and the models did not: bring {where.split(':')[0].strip()} up to date, "
                   "then run tests/model/test_drift.py --update")
        if not where.startswith("not modelled") and not re.search(rf"\b{name}\b", models):
            yield f"{path}: {name} is said to be modelled, but no model names it"


def update(rows, sources):
    with open(TABLE) as lines:
        text = lines.read()
    for path, name, known, _ in rows:
        new = digest(sources[path][name]) if name in sources[path] else known
        if new != known:
            print(f"{path}: {name}: {known} -> {new}")
            text = re.sub(rf"^({re.escape(path)}\s+{name}\s+){known}", rf"\g<1>{new}", text, flags=re.M)
    with open(TABLE, "w") as table:
        table.write(text)


def main(arguments):
    rows = read_table()
    sources = {}
    for path in {row[0] for row in rows} | set(WHOLE):
        with open(os.path.join(ROOT, path)) as source:
            sources[path] = functions_of(source.read())
    if arguments == ["--update"]:
        update(rows, sources)
        return 0
    faults = list(check(rows, sources, comments_of_models()))
    for fault in faults:
        print(fault)
    print(f"{len(rows)} functions, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
