# SPDX-License-Identifier: Apache-2.0
"""The rules of the code base that a program can check, checked. Prints each breach as path:line: why."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
TEST_LINES_MAX = 650
COLUMNS_MAX = 100  # A line with a string may be longer: a diagnostic is not cut in two.

# Lowest first; a layer may include those it names and public headers, and nothing else.
LAYERS = {
    "base": [],
    "redact": ["base"],
    "record": ["base", "redact"],
    "stack": ["base"],
    "error": ["base", "record", "stack"],
    "context": ["base", "record"],
    "resilience": ["base", "stack", "error", "context"],
    "box": ["base", "record"],
    "capture": ["base", "redact", "error", "context", "record", "box", "stack"],
    "pipeline": ["base", "redact", "record", "stack", "error", "context", "resilience", "box"],
    "agent": ["base", "redact", "record", "stack", "error", "context", "resilience", "box", "capture", "pipeline"],
}
# Exporters use JSON's writer, and those of libsonde-otlp its connections.
EXPORTERS = {"webhook": ["json", "otlp"]}
# Of another folder only these headers are included besides its door (the header with its name).
BANNED = re.compile(r"\b(sprintf|vsprintf|strcpy|strcat|strtok|gmtime|localtime|rand|srand|atoi|atol|alloca|"
                    r"gets|system)\s*\(")
BANNED_IN_LIBRARY = re.compile(r"\b(printf|puts|putchar|abort|exit|getenv|sleep|usleep|nanosleep|setenv)\s*\(")
DRAWING = re.compile(r" \*(\t|   | .*\|)")  # A table or a picture in a comment.
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def files():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "*.c", "*.h"],
                            stdout=subprocess.PIPE, text=True)
    paths = listed.stdout.split()
    if not paths:  # Not a checkout: an unpacked archive.
        for folder, _, names in os.walk(ROOT):
            paths += [os.path.relpath(os.path.join(folder, n), ROOT) for n in names if n.endswith((".c", ".h"))]
    return sorted(p for p in paths if os.path.exists(os.path.join(ROOT, p)))


def without_comments_and_strings(text):
    """The same text, with comments and literals blanked, so that lines keep their numbers."""
    pattern = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def check_shape(path, lines, code, say):
    if not lines[0].startswith("/* SPDX-License-Identifier: Apache-2.0 */"):
        say(1, "the first line is the licence's SPDX line")
    limit = TEST_LINES_MAX if path.startswith("tests/") else FILE_LINES_MAX
    if len(lines) > limit:
        say(len(lines), f"over {limit} lines: it has two subjects")
    start = None
    for number, line in enumerate(code.split("\n"), 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            if number - start - 1 > FUNCTION_LINES_MAX:
                say(start, f"a function of {number - start - 1} lines, over {FUNCTION_LINES_MAX}")
            start = None


def check_lines(path, lines, code, say):
    in_library = path.startswith(("src/", "exporters/", "include/"))
    for number, (line, plain) in enumerate(zip(lines, code.split("\n")), 1):
        if len(line.expandtabs(8)) > COLUMNS_MAX and '"' not in line and not DRAWING.match(line):
            say(number, f"over {COLUMNS_MAX} columns")
        if "//" in plain:
            say(number, "comments are /* sentences */")
        if line.rstrip() != line:
            say(number, "blanks at the end")
        if UNFINISHED.search(line):
            say(number, "what is left undone is not left in the code")
        banned = BANNED.search(plain)
        if banned:
            say(number, f"{banned.group(1)} is not used here")
        banned = BANNED_IN_LIBRARY.search(plain)
        if in_library and banned and not (path == "src/agent/environment.c" and "getenv" in banned.group()):
            say(number, f"library code does not call {banned.group(1)}")


def check_guard(path, text, say):
    if not path.startswith(("include/", "src/", "exporters/")) or not path.endswith(".h"):
        return
    relative = re.sub(r"^(include|src|exporters)/", "", path)
    guard = "SONDE_" + re.sub(r"^SONDE_", "", re.sub(r"[^A-Za-z0-9]", "_", relative).upper())
    if path.startswith("exporters/"):
        return
    found = re.search(r"#ifndef (\w+)", text)
    if not found or not (found.group(1) == guard or found.group(1).startswith(guard[:-2])):
        say(1, f"the guard is the path: {guard}")


def check_layers(path, lines, say):
    parts = path.split("/")
    if parts[0] == "exporters":
        own = [parts[1], "sonde"] + EXPORTERS.get(parts[1], ["json"])
        allowed = lambda name: "/" not in name or name.split("/")[0] in own
    elif parts[0] == "src" and parts[1] in LAYERS:
        own = LAYERS[parts[1]] + [parts[1], "sonde"]
        allowed = lambda name: name.split("/")[0] in own
    else:
        return
    for number, line in enumerate(lines, 1):
        included = re.match(r'#include "([^"]+)"', line)
        if included and not allowed(included.group(1)):
            say(number, f"{parts[1]} does not use {included.group(1)}")


def main():
    breaches = []
    for path in files():
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = file.read()
        lines, code = text.rstrip("\n").split("\n"), without_comments_and_strings(text)

        def say(number, why, path=path):
            breaches.append(f"{path}:{number}: {why}")

        check_shape(path, lines, code, say)
        check_lines(path, lines, code, say)
        check_guard(path, text, say)
        check_layers(path, lines, say)
    print("\n".join(breaches) or "tidy")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
