/* SPDX-License-Identifier: Apache-2.0 */
#include "seen_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diagnostic.h"

char seen_directory[64];
char seen_said[16384];

static void listen(void *user, enum sonde_level level, const char *text)
{
	(void)user;
	(void)level;
	snprintf(seen_said + strlen(seen_said), sizeof(seen_said) - strlen(seen_said), "%s\n", text);
}

size_t times_said(const char *what)
{
	size_t n = 0;

	for (const char *at = seen_said; (at = strstr(at, what)) != NULL; at++)
		n++;
	return n;
}

int seen_set_up(void **state)
{
	(void)state;
	seen_said[0] = '\0';
	sonde__diagnostic_set(listen, /* user= */ NULL);
	snprintf(seen_directory, sizeof(seen_directory), "/tmp/sonde-seen-XXXXXX");
	return mkdtemp(seen_directory) ? 0 : -1;
}

static void remove_tree(const char *path)
{
	DIR *listing = opendir(path);
	struct dirent *entry;

	while (listing && (entry = readdir(listing)) != NULL) {
		char inner[512];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		if (entry->d_type == DT_DIR)
			remove_tree(inner);
		else
			unlink(inner);
	}
	if (listing)
		closedir(listing);
	rmdir(path);
}

int seen_tear_down(void **state)
{
	(void)state;
	chmod(seen_directory, 0700);
	remove_tree(seen_directory);
	sonde__diagnostic_set(/* callback= */ NULL, /* user= */ NULL);
	return 0;
}

struct sonde_text text(const char *string)
{
	return (struct sonde_text){ string, strlen(string) };
}

const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", seen_directory, name);
	return path;
}

void open_at(struct sonde__seen *seen, const char *where, const char *release)
{
	struct sonde__seen_options options = {
		.directory = where,
		.service = text("checkout"),
		.release = text(release),
		.regression_days = 14,
		.n_slots = 64,
	};

	assert_int_equal(sonde__seen_init(seen, &options), SONDE_OK);
}

char answer_of(struct sonde__seen *seen, uint64_t fingerprint, uint64_t unix_s)
{
	struct sonde__seen_answer answer = sonde__seen_ask(seen, fingerprint, unix_s);

	assert_false(answer.is_first && answer.is_regressed);
	if (answer.is_first)
		return 'f';
	return answer.is_regressed ? 'r' : 'k';
}

char fresh_answer(const char *release, uint64_t fingerprint, uint64_t unix_s)
{
	struct sonde__seen seen;
	char answer;

	open_at(&seen, seen_directory, release);
	answer = answer_of(&seen, fingerprint, unix_s);
	sonde__seen_deinit(&seen);
	return answer;
}

void write_file(const char *name, const char *content, const char *mode)
{
	FILE *file = fopen(path_of(name), mode);

	assert_non_null(file);
	assert_true(fputs(content, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

off_t size_of(const char *name)
{
	struct stat status;

	return lstat(path_of(name), &status) == 0 ? status.st_size : -1;
}
