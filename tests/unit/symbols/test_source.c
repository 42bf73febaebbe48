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

static void test_lines(void **state)
{
	static const char text[] = "one\n\n\tthree  \t(with)\n   \nfive \xff\xfe\r\nlast";
	struct file file = file_new(text, sizeof(text) - 1);
	char line[64] = "";

	(void)state;
	assert_false(sonde__source_line(file.path, 0, file.built, line, sizeof(line)));
	assert_true(sonde__source_line(file.path, 1, file.built, line, sizeof(line)));
	assert_string_equal(line, "one");
	assert_false(sonde__source_line(file.path, 2, file.built, line, sizeof(line)));
	assert_true(sonde__source_line(file.path, 3, file.built, line, sizeof(line)));
	assert_string_equal(line, "three   (with)");
	assert_false(sonde__source_line(file.path, 4, file.built, line, sizeof(line)));
	assert_true(sonde__source_line(file.path, 5, file.built, line, sizeof(line)));
	assert_true(sonde__source_line(file.path, 6, file.built, line, sizeof(line)));
	assert_string_equal(line, "last");
	assert_false(sonde__source_line(file.path, 7, file.built, line, sizeof(line)));
	assert_false(sonde__source_line(file.path, UINT32_MAX, file.built, line, sizeof(line)));
	assert_int_equal(unlink(file.path), 0);
	assert_false(sonde__source_line(file.path, 1, file.built, line, sizeof(line)));
}

static void test_source_of_another_version(void **state)
{
	struct file file = file_new("one\n", 4);
	struct timespec before = file.built;
	char line[64] = "";

	(void)state;
	before.tv_sec--;
	assert_false(sonde__source_line(file.path, 1, before, line, sizeof(line)));
	assert_string_equal(line, "");
	assert_int_equal(unlink(file.path), 0);
}

static void test_what_is_no_text(void **state)
{
	struct file file = file_new("one\0two\n", 8);
	struct timespec late = { .tv_sec = INT32_MAX };
	char line[64];

	(void)state;
	assert_false(sonde__source_line(file.path, 1, file.built, line, sizeof(line)));
	assert_int_equal(unlink(file.path), 0);
	assert_false(sonde__source_line("/dev/zero", 1, late, line, sizeof(line)));
	assert_false(sonde__source_line("/", 1, late, line, sizeof(line)));
	assert_false(sonde__source_line("relative.c", 1, late, line, sizeof(line)));
	assert_false(sonde__source_line("", 1, late, line, sizeof(line)));
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
		cmocka_unit_test(test_source_of_another_version),
		cmocka_unit_test(test_what_is_no_text),
		cmocka_unit_test(test_demangling),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
