#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is installed works for somebody else: outside the tree, shared, from archives, fully static.

Installs the build (the first argument) into a temporary folder. `test_abi.py BUILD --update` stores the
exported symbols anew: look at the difference, it is the change of the ABI.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))

import hostile_collector as hostile  # noqa: E402  (it lies beside the other test support)

BUILD = sys.argv.pop(1)
UPDATE = "--update" in sys.argv and sys.argv.remove("--update") is None

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
LANGUAGES = {"c99": ["gcc", "-std=c99"], "c11": ["gcc", "-std=c11"],
             "c++17": ["g++", "-x", "c++", "-std=c++17"]}
if shutil.which("clang"):
    LANGUAGES["c11 by clang"] = ["clang", "-std=c11"]


class Installed:
    """A copy of what `meson install` puts into the prefix."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.work = self.folder.name
        root = os.path.join(self.work, "root")
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", root], check=True,
                       stdout=subprocess.DEVNULL)
        for where, _, names in os.walk(root):
            if "sonde-core.pc" in names:
                self.pc = where
            if "sonde.h" in names:
                self.include = os.path.dirname(where)
        self.lib = os.path.dirname(self.pc)
        self.prefix = root + self._installed_prefix()
        self.archives = os.path.join(self.work, "archives")
        os.mkdir(self.archives)
        for name in ("libsonde.a", "libsonde-otlp.a", "libsonde-unwind.a", "libsonde-symbols.a"):
            if os.path.exists(os.path.join(self.lib, name)):
                shutil.copy(os.path.join(self.lib, name), self.archives)
        self.has_otlp = os.path.exists(os.path.join(self.pc, "sonde.pc"))
        self.has_unwind = os.path.exists(os.path.join(self.pc, "sonde-unwind.pc"))
        self.has_symbols = os.path.exists(os.path.join(self.pc, "sonde-symbols.pc"))

    def _installed_prefix(self):
        with open(os.path.join(self.pc, "sonde-core.pc")) as file:
            return file.readline().strip().partition("=")[2]

    def flags(self, *arguments, lib=None):
        environment = {**os.environ, "PKG_CONFIG_PATH": self.pc}
        variables = ["--define-variable=prefix=" + self.prefix]
        if lib:
            variables.append("--define-variable=libdir=" + lib)
        done = subprocess.run(["pkg-config", *variables, *arguments], env=environment, check=True,
                              capture_output=True, text=True)
        return done.stdout.split()


I = None


def setUpModule():
    global I
    I = Installed()


def tearDownModule():
    I.folder.cleanup()


def build(name, source, *flags, compiler=("gcc", "-std=c11"), before=()):
    """Compiles a source of this folder where it cannot see the tree; the program's path."""
    path = os.path.join(I.work, name)
    copy = os.path.join(I.work, name + ".c")
    shutil.copy(os.path.join(HERE, source), copy)
    done = subprocess.run([*compiler, *WARNINGS, *before, "-o", path, copy, "-x", "none", *flags], cwd=I.work,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return path


def run(path, **environment):
    environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": I.lib, **environment}
    done = subprocess.run([path], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


def needed(path):
    output = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True).stdout
    return {line.split("[")[1].rstrip("]") for line in output.splitlines() if "(NEEDED)" in line}


def exported(path):
    output = subprocess.run(["nm", "-D", "--defined-only", path], check=True, capture_output=True,
                            text=True).stdout
    return sorted(line.split()[2] for line in output.splitlines() if line.split()[1] != "A")


class Libraries(unittest.TestCase):
    def test_libsonde_needs_libc_alone(self):
        self.assertLessEqual(needed(os.path.join(I.lib, "libsonde.so")),
                             {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"})

    def test_neither_is_ever_unloaded(self):
        for name in ("libsonde.so", "libsonde-otlp.so", "libsonde-unwind.so", "libsonde-symbols.so"):
            path = os.path.join(I.lib, name)
            if not os.path.exists(path):
                continue
            output = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True).stdout
            self.assertIn("NODELETE", output, name)

    def check_exports(self, name):
        path = os.path.join(HERE, name + ".symbols")
        now = exported(os.path.join(I.lib, name + ".so"))
        if UPDATE:
            with open(path, "w") as file:
                file.write("".join(symbol + "\n" for symbol in now))
        with open(path) as file:
            self.assertEqual(file.read().split(), now, "the exported symbols have changed; see --update")

    def test_libsonde_exports_exactly_this(self):
        self.check_exports("libsonde")

    def test_libsonde_otlp_exports_exactly_this(self):
        if not I.has_otlp:
            self.skipTest("built without OTLP")
        self.check_exports("libsonde-otlp")

    def test_libsonde_unwind_exports_exactly_this(self):
        if not I.has_unwind:
            self.skipTest("built without libsonde-unwind")
        self.check_exports("libsonde-unwind")
        self.assertLessEqual(needed(os.path.join(I.lib, "libsonde-unwind.so")),
                             {"libsonde.so.0", "libc.so.6", "ld-linux-x86-64.so.2"})

    def test_libsonde_symbols_exports_exactly_this(self):
        if not I.has_symbols:
            self.skipTest("built without libsonde-symbols")
        self.check_exports("libsonde-symbols")

    def test_archives_define_nothing_without_the_prefix(self):
        for name in sorted(os.listdir(I.archives)):
            output = subprocess.run(["nm", "-g", "--defined-only", os.path.join(I.archives, name)], check=True,
                                    capture_output=True, text=True).stdout
            names = [line.split()[2] for line in output.splitlines() if len(line.split()) == 3]
            self.assertEqual([n for n in names if not n.startswith("sonde_")], [])

    def test_structs_keep_their_layout(self):
        if sys.maxsize < 2 ** 32:
            self.skipTest("the layout of 64-bit systems is checked")
        build("sizes", "sizes.c", "-c", before=["-I" + I.include])


def adapter_flags(name):
    """What the header of an adapter needs of the library that it adapts; None where that is not installed."""
    library = {"error_curl.h": "libcurl", "error_openssl.h": "libcrypto", "error_pq.h": "libpq",
               "error_sqlite.h": "sqlite3"}.get(name)
    if not library:
        return []
    found = subprocess.run(["pkg-config", "--cflags", library], capture_output=True, text=True)
    if found.returncode:
        print(f"<sonde/{name}> is not compiled: {library} is not there")
        return None
    return [flag.replace("-I", "-isystem") for flag in found.stdout.split()]


class Headers(unittest.TestCase):
    def test_each_compiles_alone(self):
        names = sorted(n for n in os.listdir(os.path.join(I.include, "sonde")) if n.endswith(".h"))
        self.assertGreater(len(names), 8)
        for name in names:
            flags = adapter_flags(name)
            for language, compiler in LANGUAGES.items() if flags is not None else ():
                with self.subTest(header=name, language=language):
                    source = os.path.join(I.work, "alone.c")
                    with open(source, "w") as file:
                        # Twice, for the guard.
                        file.write("#include <sonde/%s>\n#include <sonde/%s>\nint unused;\n" % (name, name))
                    done = subprocess.run([*compiler, *WARNINGS, "-I" + I.include, *flags, "-fsyntax-only", source],
                                          capture_output=True, text=True)
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_macro_of_the_toolkit_is_in_that_program(self):
        with open(os.path.join(HERE, "macros.c")) as file:
            used = set(re.findall(r"\bSONDE_\w+", file.read()))
        headers = os.path.join(I.include, "sonde")
        with open(os.path.join(headers, "toolkit.h")) as file:
            names = re.findall(r"#include <sonde/(\w+\.h)>", file.read())
        self.assertGreater(len(names), 15)
        for name in names:
            with open(os.path.join(headers, name)) as file:
                defined = re.findall(r"^#define (SONDE_(?!_)\w+)(?!\w)(?! *$)", file.read(), re.M)
            self.assertEqual(sorted(set(defined) - used), [], name)

    def test_every_macro_works(self):
        for language, compiler in LANGUAGES.items():
            with self.subTest(language=language):
                path = build("macros", "macros.c", *I.flags("--cflags", "--libs", "sonde-core"), compiler=compiler)
                run(path, OTEL_TRACES_EXPORTER="memory", OTEL_LOGS_EXPORTER="memory")


class Programs(unittest.TestCase):
    def send(self, path):
        """All signals arrive by OTLP, which nothing in the program refers to."""
        with hostile.Collector(hostile.answer(200)) as collector:
            output, diagnostics = run(path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        self.assertIn("exported=1", output, diagnostics)
        self.assertEqual(diagnostics, "")
        self.assertEqual({request.path for request in collector.requests}, {"/v1/traces", "/v1/logs", "/v1/metrics"})

    def console(self, path):
        output, diagnostics = run(path, OTEL_TRACES_EXPORTER="console", OTEL_LOGS_EXPORTER="console")
        self.assertIn("installed work", output, diagnostics)
        self.assertIn("exported=1", output)

    def misses_otlp(self, path):
        _, diagnostics = run(path, OTEL_TRACES_EXPORTER="otlp", OTEL_LOGS_EXPORTER="none")
        self.assertIn('OTEL_TRACES_EXPORTER names the exporter "otlp", which is not linked', diagnostics)
        self.assertIn("pkg-config --libs sonde", diagnostics)

    def needs_otlp(self):
        if not I.has_otlp:
            self.skipTest("built without OTLP")

    def test_shared(self):
        self.needs_otlp()
        for name, more in (("shared", []), ("shared-as-needed", ["-Wl,--as-needed", "-Wl,--gc-sections"])):
            with self.subTest(name):
                path = build(name, "program.c", *more, *I.flags("--cflags", "--libs", "sonde"))
                self.assertLessEqual({"libsonde.so.0", "libsonde-otlp.so.0"}, needed(path))
                self.send(path)
                self.console(path)

    def test_from_the_archives(self):
        self.needs_otlp()
        third = I.flags("--libs", "libcurl", "libprotobuf-c", "zlib")
        for name, more in (("archived", []),
                           ("archived-gc", ["-Wl,--as-needed", "-Wl,--gc-sections", "-ffunction-sections"])):
            with self.subTest(name):
                path = build(name, "program.c", *more, *I.flags("--cflags", "--libs", "sonde", lib=I.archives),
                             *third)
                self.assertFalse({n for n in needed(path) if "sonde" in n})
                self.send(path)
                self.console(path)

    def test_fully_static(self):
        path = build("static", "program.c", "-static", "-Wl,--gc-sections",
                     *I.flags("--static", "--cflags", "--libs", "sonde-core"))
        self.assertEqual(needed(path), set())
        self.console(path)
        self.misses_otlp(path)

    def test_the_core_alone(self):
        path = build("core", "program.c", *I.flags("--cflags", "--libs", "sonde-core"))
        self.console(path)
        self.misses_otlp(path)

    def test_unwind(self):
        """Nothing in the program refers to it, and it walks the program's stacks."""
        if not I.has_unwind:
            self.skipTest("built without libsonde-unwind")
        frameless = ["-O2", "-fomit-frame-pointer"]
        # The archive's way; what it stands on is shared.
        archived = [os.path.join(I.lib, "libsonde-unwind.a") if flag == "-lsonde-unwind" else flag
                    for flag in I.flags("--cflags", "--libs", "sonde-unwind")]
        for name, flags, expected in (("walked", I.flags("--cflags", "--libs", "sonde-unwind"), True),
                                      ("walked-archive", archived, True),
                                      ("walked-not", I.flags("--cflags", "--libs", "sonde-core"), False)):
            with self.subTest(name):
                path = build(name, "frameless.c", *frameless, "-Wl,--gc-sections", *flags)
                output, _ = run(path, OTEL_LOGS_EXPORTER="console", OTEL_TRACES_EXPORTER="none")
                functions = ["fail", "deepest", "middle", "outer", "_start"]
                self.assertIn("#0 fail", output)
                self.assertEqual(all(f" {function}+0x" in output for function in functions), expected, output)

    def test_symbols(self):
        """Nothing in the program refers to it, and it names the program's lines."""
        if not I.has_symbols:
            self.skipTest("built without libsonde-symbols")
        third = I.flags("--libs", "libdw", "libelf") + ["-lstdc++"]
        archived = [os.path.join(I.lib, "libsonde-symbols.a") if flag == "-lsonde-symbols" else flag
                    for flag in I.flags("--cflags", "--libs", "sonde-symbols")] + third
        for name, flags in (("named", I.flags("--cflags", "--libs", "sonde-symbols")), ("named-archive", archived)):
            with self.subTest(name):
                path = build(name, "frameless.c", "-O2", "-g", "-fno-omit-frame-pointer", "-Wl,--gc-sections", *flags)
                output, _ = run(path, OTEL_LOGS_EXPORTER="console", OTEL_TRACES_EXPORTER="none")
                self.assertRegex(output, rf"#0 fail at {name}\.c:\d+")
                self.assertRegex(output, r"    > +\d+ \| +struct sonde_error \*error = sonde_error_raise\(")

    def test_a_third_partys_exporter(self):
        path = build("third", "third_party.c", *I.flags("--cflags", "--libs", "sonde-core"))
        output, _ = run(path)
        self.assertIn("open hello", output)
        self.assertIn("item 1 key", output)
        self.assertIn("item 2 event", output)
        self.assertIn("close 1", output)


if __name__ == "__main__":
    unittest.main(verbosity=1)
