/* SPDX-License-Identifier: Apache-2.0 */

/* Paths are tidied, lines are those of the version that was built, names are bounded. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "name.h"
#include "source.h"

static void expect_name(const char *path, const char *folder, const char *expected)
{
	char name[64];

	sonde__source_name(path, folder, name, sizeof(name));
	assert_string_equal(name, expected);
}

static void test_names(void **state)
{
	(void)state;
	expect_name("/a/b/c.c", NULL, "/a/b/c.c");
	expect_name("/a/b/c.c", "/a", "b/c.c");
	expect_name("/a/b/c.c", "/a/", "b/c.c");
	expect_name("/ab/c.c", "/a", "/ab/c.c");
	expect_name("/a/build/../src/./c.c", "/a/build", "/a/src/c.c");
	expect_name("/a/build/../src/./c.c", "/a", "src/c.c");
	expect_name("../src/c.c", "/a", "../src/c.c");
	expect_name("../../c.c", NULL, "../../c.c");
	expect_name("a/../../c.c", NULL, "../c.c");
	expect_name("/../../c.c", NULL, "/../../c.c");
	expect_name("//a///b.c", "/", "/a/b.c");
	expect_name("", "", "");
	expect_name("c.c", "", "c.c");
}

static void test_long_names(void **state)
{
	char path[5000] = "";
	char name[32];

	(void)state;
	for (size_t i = 0; i + 20 < sizeof(path); i += 10)
		memcpy(path + i, "/directory", 11);
	sonde__source_name(path, NULL, name, sizeof(name));
	assert_in_range(strlen(name), 20, sizeof(name) - 1);
	assert_memory_equal(name, "…", 3);
	memset(path, 'x', sizeof(path) - 1);
	sonde__source_name(path, path, name, sizeof(name));
	assert_in_range(strlen(name), 0, sizeof(name) - 1);
}

struct file {
	char path[64];
	struct timespec built;
};

static struct file file_new(const void *text, size_t size)
{
	struct file file = { .path = "/tmp/sonde-source-XXXXXX" };
	int fd = mkstemp(file.path);
	struct stat status;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	assert_int_equal(fstat(fd, &status), 0);
	close(fd);
	file.built = status.st_mtim;
	return file;
}

/* The text around a line, or "" where there is none. */
static const char *lines_of(const struct file *file, uint32_t line, uint32_t n_lines)
{
	static char text[4096];
	const struct sonde__source_place place = { file->path, line, n_lines };
	uint32_t first = 4711;

	snprintf(text, sizeof(text), "untouched");
	if (!sonde__source_lines(&place, file->built, text, sizeof(text), &first)) {
		assert_string_equal(text, "untouched");
		assert_int_equal(first, 4711);
		return "";
	}
	assert_int_equal(first, line > n_lines / 2 ? line - n_lines / 2 : 1);
	return text;
}

static void test_lines(void **state)
{
	static const char text[] = "one\n\n\tthree  \t(with)\n   \nfive \xff\xfe\r\nlast";
	struct file file = file_new(text, sizeof(text) - 1);

	(void)state;
	assert_string_equal(lines_of(&file, 0, 1), "");
	assert_string_equal(lines_of(&file, 1, 0), "");
	assert_string_equal(lines_of(&file, 1, 1), "one");
	assert_string_equal(lines_of(&file, 2, 1), "");
	assert_string_equal(lines_of(&file, 3, 1), "three   (with)");
	assert_string_equal(lines_of(&file, 4, 1), "");
	assert_string_equal(lines_of(&file, 5, 1), "five \xff\xfe");
	assert_string_equal(lines_of(&file, 6, 1), "last");
	assert_string_equal(lines_of(&file, 7, 1), "");
	assert_string_equal(lines_of(&file, UINT32_MAX, 1), "");
	assert_string_equal(lines_of(&file, UINT32_MAX, UINT32_MAX), "");
	assert_int_equal(unlink(file.path), 0);
	assert_string_equal(lines_of(&file, 1, 1), "");
}

/* As many before as after it, or what there is; indented as against each other. */
static void test_lines_around(void **state)
{
	static const char text[] = "int f(void)\n{\n\tif (a)\n\t\treturn b;\n\n\treturn c;\n}\n";
	struct file file = file_new(text, sizeof(text) - 1);

	(void)state;
	assert_string_equal(lines_of(&file, 4, 3), "if (a)\n        return b;\n");
	assert_string_equal(lines_of(&file, 4, 5), "{\n        if (a)\n                return b;\n\n"
						   "        return c;");
	assert_string_equal(lines_of(&file, 1, 5), "int f(void)\n{\n        if (a)");
	assert_string_equal(lines_of(&file, 7, 3), "        return c;\n}");
	assert_string_equal(lines_of(&file, 7, 4), "\n        return c;\n}");
	assert_string_equal(lines_of(&file, 5, 5), "");
	assert_string_equal(lines_of(&file, 6, 2), "\nreturn c;");
	assert_int_equal(unlink(file.path), 0);
}

static void test_long_lines(void **state)
{
	static char text[100000];
	struct file file;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 5000; i < sizeof(text); i += 5000)
		text[i] = '\n';
	file = file_new(text, sizeof(text));
	assert_int_equal(strlen(lines_of(&file, 3, 5)), 5 * 256 + 4);
	/* Not more than there is room for, and whole lines. */
	assert_int_equal((strlen(lines_of(&file, 10, 31)) + 1) % 257, 0);
	assert_int_equal(unlink(file.path), 0);
	memset(text, '\t', sizeof(text));
	file = file_new(text, sizeof(text));
	assert_string_equal(lines_of(&file, 1, 5), "");
	assert_int_equal(unlink(file.path), 0);
}

static void test_source_of_another_version(void **state)
{
	struct file file = file_new("one\n", 4);

	(void)state;
	assert_string_equal(lines_of(&file, 1, 1), "one");
	file.built.tv_sec--;
	assert_string_equal(lines_of(&file, 1, 1), "");
	assert_int_equal(unlink(file.path), 0);
}

static void test_what_is_no_text(void **state)
{
	struct file file = file_new("one\0two\n", 8);
	const char *const others[] = { "/dev/zero", "/", "relative.c", "", "/nonexistent/file.c" };
	char fifo[64];

	(void)state;
	assert_string_equal(lines_of(&file, 1, 1), "");
	assert_int_equal(unlink(file.path), 0);
	snprintf(fifo, sizeof(fifo), "%s", file.path);
	file.built.tv_sec = INT32_MAX;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_string_equal(lines_of(&file, 1, 1), "");
	assert_int_equal(unlink(fifo), 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(file.path, sizeof(file.path), "%s", others[i]);
		assert_string_equal(lines_of(&file, 1, 1), "");
	}
}

/* Neither text: one is too large to be looked through, one is a window with a zero in it. */
static void test_large_files(void **state)
{
	struct file file = file_new("one\n", 4);

	(void)state;
	assert_int_equal(truncate(file.path, 8 * 1024 * 1024 + 1), 0);
	file.built.tv_sec = INT32_MAX;
	assert_string_equal(lines_of(&file, 1, 1), "");
	assert_int_equal(unlink(file.path), 0);
}

static void test_demangling(void **state)
{
	char deep[2000] = "_Z1f";
	char text[64] = "";

	(void)state;
	assert_true(sonde__name_demangle("_ZN4shop4Cart3addEi", text, sizeof(text)));
	assert_string_equal(text, "shop::Cart::add(int)");
	assert_true(sonde__name_demangle("_ZN4shop4Cart3addEi", text, 8));
	assert_string_equal(text, "shop::C");
	assert_false(sonde__name_demangle("main", text, sizeof(text)));
	assert_false(sonde__name_demangle("", text, sizeof(text)));
	assert_false(sonde__name_demangle("_Z", text, sizeof(text)));
	assert_false(sonde__name_demangle("_ZN4shop", text, sizeof(text)));
	memset(deep + 4, 'P', 900);
	deep[904] = 'i';
	assert_true(sonde__name_demangle(deep, text, sizeof(text)));
	memset(deep + 4, 'P', sizeof(deep) - 6);
	assert_false(sonde__name_demangle(deep, text, sizeof(text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_lines_around),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_large_files),
		cmocka_unit_test(test_source_of_another_version),
		cmocka_unit_test(test_what_is_no_text),
		cmocka_unit_test(test_demangling),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
