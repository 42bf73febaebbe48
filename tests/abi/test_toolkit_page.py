#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/toolkit.md is true: its examples compile, and its table has every call of the toolkit's headers."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PAGE = os.path.join(ROOT, "docs", "toolkit.md")
HEADERS = os.path.join(ROOT, "include", "sonde")

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-unused-function", "-Wno-unused-variable"]
COMPILERS = [compiler for compiler in ("gcc", "clang") if shutil.which(compiler)]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def toolkit_headers():
    """Those that stand on <sonde/resilience.h>, but for the agent's."""
    for name in sorted(os.listdir(HEADERS)):
        if name.endswith(".h") and name not in ("agent.h", "toolkit.h"):
            text = read(os.path.join(HEADERS, name))
            if "#include <sonde/resilience.h>" in text:
                yield name, text


def calls_of(header):
    """Functions of a header as one writes them: without the _at of those that a macro hides."""
    names = re.findall(r"SONDE_API[^;{]*?\b(sonde_\w+)\s*\(", header)
    return {name[:-3] if re.search(r"#define " + name[:-3] + r"\(", header) else name for name in names}


def calls_of_table(page):
    calls = set()
    for row in re.findall(r"^\| `(sonde_\w+)` \| ([^|]*) \|", page, re.M):
        calls |= {f"{row[0]}_{verb}" for verb in re.findall(r"`(\w+)`", row[1])}
    return calls


class Page(unittest.TestCase):
    def setUp(self):
        self.page = read(PAGE)
        self.headers = dict(toolkit_headers())

    def test_examples_compile(self):
        blocks = re.findall(r"^```c\n(.*?)^```$", self.page, re.M | re.S)
        self.assertGreater(len(blocks), 5)
        source = '#include <sonde/toolkit.h>\n#include "toolkit_page.h"\n' + "".join(blocks) + "int main(void)\n{\n\treturn 0;\n}\n"
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "page.c")
            with open(path, "w", encoding="utf-8") as file:
                file.write(source)
            for compiler in COMPILERS:
                subprocess.run([compiler, "-std=c11", "-fsyntax-only", *WARNINGS, "-I", os.path.join(ROOT, "include"),
                                "-I", HERE, path], check=True)

    def test_one_header_has_them_all(self):
        told = set(re.findall(r"#include <sonde/(\w+\.h)>", read(os.path.join(HEADERS, "toolkit.h"))))
        self.assertEqual(told, {*self.headers, "resilience.h"})

    def test_table_has_every_call(self):
        declared = set().union(*(calls_of(text) for text in self.headers.values()))
        told = calls_of_table(self.page)
        self.assertEqual(sorted(declared - told), [], "not in the table")
        self.assertEqual(sorted(told - declared), [], "in the table, but no header declares it")

    def test_every_object_ends_with_its_block(self):
        for name, text in self.headers.items():
            for object_name in re.findall(r"SONDE_API void (sonde_\w+?)_deinit\(", text):
                with self.subTest(object=object_name):
                    macro = object_name.upper() + "_AUTODEINIT"
                    self.assertRegex(text, rf"#define {macro} SONDE_CLEANUP\({object_name}_deinit\)")


if __name__ == "__main__":
    unittest.main()
