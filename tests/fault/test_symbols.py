# SPDX-License-Identifier: Apache-2.0
"""Stacks of really built, stripped, moved and replaced programs, named by libsonde-symbols."""
import glob
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from fault import FaultCase  # noqa: E402

LIBRARIES = os.environ["SONDE_LIBRARIES"].split(":")
SANITIZE = os.environ["SONDE_SANITIZE"]
FRAME = re.compile(r"#(\d+) (.+) \((.+), build-id ([0-9a-f]+|none), \+0x([0-9a-f]+)\)( \[system\])?")

SOURCE = re.compile(r"(?m)^    [> ] +\d+ \|")


class Named(FaultCase):
    def compile(self, name, source="named.c", *flags, compiler="gcc"):
        """The source is copied, so that it can be edited, and lies outside the tree."""
        copy = os.path.join(self.folder, source)
        if not os.path.exists(copy):
            shutil.copy(os.path.join(HERE, source), copy)
        path = os.path.join(self.folder, name)
        links = [f for library in LIBRARIES
                 for f in ("-L" + os.path.dirname(library), "-Wl,-rpath," + os.path.dirname(library))]
        sanitize = [] if SANITIZE == "none" else ["-fsanitize=" + SANITIZE]
        subprocess.run([compiler, "-D_GNU_SOURCE", "-O2", "-fno-omit-frame-pointer", "-Wl,--build-id", *sanitize, *flags,
                        "-I", os.path.join(HERE, "../../include"), "-o", path, source, *links, "-Wl,--no-as-needed",
                        *("-l:" + os.path.basename(library) for library in LIBRARIES), "-ldl", "-pthread"],
                       cwd=self.folder, check=True)
        return path

    def run_program(self, *command, **environment):
        for path in glob.glob(self.path + "*"):
            os.unlink(path)
        done = subprocess.run(command, env=self.environment(OTEL_TRACES_EXPORTER="none", SONDE_ERROR_LIMIT="off",
                                                            SONDE_STATE_DIRECTORY="none", **environment),
                              cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        found = []
        for path in glob.glob(self.path + "*"):
            with open(path) as lines:
                for resource in (r for line in lines for r in json.loads(line).get("resourceLogs", [])):
                    for record in (r for scope in resource["scopeLogs"] for r in scope["logRecords"]):
                        found += [a["value"]["stringValue"] for a in record["attributes"]
                                  if a["key"] == "exception.stacktrace"]
        return found

    def stack(self, *command, **environment):
        found = self.run_program(*command, **environment)
        self.assertEqual(len(found), 1)
        return found[0]

    def build_id(self, path):
        notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True).stdout
        return re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)

    def assert_named(self, stack, name="named"):
        """The inlined function, where it stands and the line; then its caller, at the same address."""
        lines = stack.splitlines()
        self.assertRegex(lines[1], r"^#0 inner at named\.c:\d+:\d+ \[inlined\] \(" + name)
        self.assertRegex(stack, r"(?m)^#1 outer at named\.c:\d+:\d+ \(" + name)
        frames = [FRAME.fullmatch(line) for line in lines if line.startswith("#")]
        self.assertTrue(all(frames), stack)
        self.assertEqual(frames[0].group(5), frames[1].group(5))
        with open(os.path.join(self.folder, "named.c")) as source:
            text = source.read().splitlines()
        line = int(re.search(r"named\.c:(\d+)", lines[1]).group(1))
        self.assertIn("sonde_error_raise(&sonde_internal", text[line - 1])
        self.assertIn("main", frames[2].group(2))
        return lines


class Symbols(Named):
    def test_inlined_and_source(self):
        lines = self.assert_named(self.stack(self.compile("named", "named.c", "-g")))
        self.assert_source(lines[2:], 'struct sonde_error *error = sonde_error_raise(&sonde_internal, '
                                      '"number %d", number);', 5)

    def assert_source(self, lines, text, n_lines):
        """As in the file, less the blanks that all begin with, the line itself marked."""
        shown = list(itertools.takewhile(lambda line: re.match(r"    [> ] +\d+ \|", line), lines))
        self.assertEqual(len(shown), n_lines)
        self.assertEqual([line[4] for line in shown], [">" if i == n_lines // 2 else " " for i in range(n_lines)])
        self.assertTrue(shown[n_lines // 2].endswith("| " + text) or text in shown[n_lines // 2], shown)
        with open(os.path.join(self.folder, "named.c")) as file:
            source = file.read().expandtabs(8).splitlines()
        numbers = [int(line[5:].split("|")[0]) for line in shown]
        wanted = [source[number - 1] for number in numbers]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + n_lines)))
        self.assertEqual([line.partition("|")[2][1:] for line in shown],
                         textwrap.dedent("\n".join(wanted)).splitlines())

    def test_source_lines_are_as_many_as_wanted(self):
        path = self.compile("named", "named.c", "-g")
        for n_lines in (1, 7):
            lines = self.assert_named(self.stack(path, SONDE_SOURCE_LINES=str(n_lines)))
            self.assert_source(lines[2:], "sonde_error_raise(&sonde_internal", n_lines)

    def test_source_text_is_valid_and_bounded(self):
        path = self.compile("named", "named.c")
        source = os.path.join(self.folder, "named.c")
        with open(source) as file:
            text = file.read()
        marker = "	struct sonde_error *error = sonde_error_raise(&sonde_internal"
        self.assertIn(marker, text)
        text = text.replace(marker, "	/* \udcff\x1b[31m " + "ä" * 500 + " */\n" + marker)
        with open(source, "w", errors="surrogateescape") as file:
            file.write(text)
        lines = self.stack(self.compile("named", "named.c", "-g")).splitlines()
        self.assertRegex(lines[3], r"^      +\d+ \| +/\* \ufffd \[31m ä+…$")
        self.assertLess(len(lines[3].encode()), 160)
        self.assertRegex(lines[4], r"^    > +\d+ \| +struct sonde_error")

    def test_no_source_of_the_system_s(self):
        path = self.compile("named", "named.c", "-g")
        stack = self.stack(path, SONDE_IN_APP="!nam?d")
        self.assertRegex(stack, r"#1 outer at named\.c:")
        self.assertNotRegex(stack, SOURCE)

    def test_other_debug_formats(self):
        for flags in (["-g", "-gdwarf-4"], ["-g", "-gz=zlib"], ["-g", "-no-pie", "-fno-pie"], ["-g3", "-gdwarf-5"],
                      ["-g", "-fdebug-types-section"]):
            with self.subTest(flags):
                self.assert_named(self.stack(self.compile("named", "named.c", *flags)))

    def test_system_frames_are_marked(self):
        stack = self.stack(self.compile("named", "named.c", "-g"))
        self.assertRegex(stack, r"#\d+ __libc_start.* \(libc\.so\.6, .*\) \[system\]")
        self.assertNotRegex(stack, r"\(named, .*\) \[system\]\n(?!.*_start)")

    def test_globs_say_what_is_in_app(self):
        path = self.compile("named", "named.c", "-g")
        self.assertRegex(self.stack(path, SONDE_IN_APP="!nam?d"), r"#1 outer .*\) \[system\]")
        self.assertRegex(self.stack(path, SONDE_IN_APP="!*,named"), r"#1 outer .*\)\n")

    def test_source_is_gone_changed_or_unwanted(self):
        path = self.compile("named", "named.c", "-g")
        self.assertRegex(self.stack(path), SOURCE)
        self.assertNotRegex(self.stack(path, SONDE_SOURCE="off"), SOURCE)
        source = os.path.join(self.folder, "named.c")
        with open(source, "a") as file:
            file.write("/* Changed. */\n")
        later = os.stat(path).st_mtime + 10
        os.utime(source, (later, later))
        self.assertNotRegex(self.stack(path), SOURCE)
        os.rename(source, source + ".gone")
        stack = self.stack(path)
        os.rename(source + ".gone", source)
        self.assertNotRegex(stack, SOURCE)
        self.assert_named(stack)

    def test_turned_off(self):
        stack = self.stack(self.compile("named", "named.c", "-g"), SONDE_SYMBOLS="off")
        self.assertRegex(stack, r"(?m)^#0 outer\+0x[0-9a-f]+ \(named")

    def test_without_debug_information(self):
        stack = self.stack(self.compile("named"))
        self.assertRegex(stack, r"(?m)^#0 outer\+0x[0-9a-f]+ \(named")

    def split(self, path):
        """Strips the program; its debug file's path."""
        debug = path + ".debug"
        subprocess.run(["objcopy", "--only-keep-debug", path, debug], check=True)
        subprocess.run(["strip", path], check=True)
        return debug

    def by_build_id(self, debug, build_id):
        folder = os.path.join(self.folder, "store", ".build-id", build_id[:2])
        os.makedirs(folder, exist_ok=True)
        shutil.move(debug, os.path.join(folder, build_id[2:] + ".debug"))
        return os.path.join(self.folder, "store")

    def test_stripped_with_a_debug_file_by_build_id(self):
        path = self.compile("named", "named.c", "-g")
        store = self.by_build_id(self.split(path), self.build_id(path))
        self.assertNotRegex(self.stack(path), r"(?m)^#\d+ \S+ at named")
        self.assert_named(self.stack(path, SONDE_DEBUG_PATH="/nonexistent:" + store + ":"))

    def test_stripped_with_a_debug_file_by_link(self):
        path = self.compile("named", "named.c", "-g")
        debug = self.split(path)
        subprocess.run(["objcopy", "--add-gnu-debuglink=" + debug, path], check=True)
        self.assert_named(self.stack(path))
        os.mkdir(os.path.join(self.folder, ".debug"))
        shutil.move(debug, os.path.join(self.folder, ".debug"))
        self.assert_named(self.stack(path))

    def test_link_without_a_build_id_is_held_to_its_checksum(self):
        path = self.compile("named", "named.c", "-g", "-Wl,--build-id=none")
        debug = self.split(path)
        subprocess.run(["objcopy", "--add-gnu-debuglink=" + debug, path], check=True)
        self.assert_named(self.stack(path))
        with open(debug, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_END)
            file.write(bytes([byte ^ 1]))
        self.assertNotRegex(self.stack(path), r"(?m)^#\d+ \S+ at named")

    def test_debug_file_of_another_build_is_refused(self):
        other = self.compile("other", "named.c", "-g", "-DOTHER", "-O1")
        path = self.compile("named", "named.c", "-g")
        self.split(path)
        store = self.by_build_id(self.split(other), self.build_id(path))
        self.assertNotRegex(self.stack(path, SONDE_DEBUG_PATH=store), r"(?m)^#\d+ \S+ at named")

    def test_cxx_names(self):
        path = self.compile("cxx", "named_plugin.cpp", "-g", "-DPROGRAM", compiler="g++")
        stack = self.stack(path)
        self.assertRegex(stack, r"(?m)^#0 shop::Cart<long>::add\(long\) at named_plugin\.cpp:\d+:\d+ \(cxx")
        self.assertRegex(stack, r"(?m)^#1 plugin_go at named_plugin\.cpp:")

    def test_unloaded_plugin(self):
        """Nothing is known of its addresses any more; the rest is named."""
        plugin = self.compile("plugin.so", "named_plugin.cpp", "-g", "-shared", "-fPIC", compiler="g++")
        path = self.compile("named", "named.c", "-g")
        stack = self.stack(path, "plugin", plugin, OTEL_BLRP_SCHEDULE_DELAY="60000")
        self.assertRegex(stack, r"(?m)^#0 0x[0-9a-f]+$")
        self.assertRegex(stack, r"(?m)^#\d+ main at named\.c:")

    def test_loaded_plugins(self):
        """With a build-id and without one, as some linkers make them; the rest is named, too."""
        path = self.compile("named", "named.c", "-g")
        for flag in ("-Wl,--build-id", "-Wl,--build-id=none"):
            with self.subTest(flag):
                plugin = self.compile("plugin.so", "named_plugin.cpp", "-g", "-shared", "-fPIC", flag, compiler="g++")
                stack = self.stack(path, "loaded", plugin)
                self.assertRegex(stack, r"(?m)^#0 shop::Cart<long>::add\(long\) at named_plugin\.cpp:\d+:\d+ \(plugin")
                self.assertRegex(stack, r"(?m)^#1 plugin_go at named_plugin\.cpp:")
                self.assertRegex(stack, r"(?m)^#\d+ main at named\.c:")


class Children(Named):
    def test_children_while_naming(self):
        self.run_program(self.compile("named", "named.c", "-g"), "fork", "1000", OTEL_LOGS_EXPORTER="null",
                         OTEL_METRICS_EXPORTER="none", OTEL_BLRP_SCHEDULE_DELAY="1")


if __name__ == "__main__":
    unittest.main()
