/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over stored inputs without a fuzzer: every file of the folders named on the
 * command line, and every file cut short at some lengths, which is where parsers break first.
 */

#include <dirent.h>

#include "target.h"

#define INPUT_MAX 65536

static size_t file_replay(const char *path)
{
	static uint8_t bytes[INPUT_MAX];
	FILE *file = fopen(path, "rb");
	size_t size;

	CHECK(file);
	size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	LLVMFuzzerTestOneInput(bytes, size);
	for (size_t cut = size; cut-- > 0 && size - cut < 64;)
		LLVMFuzzerTestOneInput(bytes, cut);
	return 1;
}

static size_t folder_replay(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	size_t n = 0;

	CHECK(dir);
	while ((entry = readdir(dir))) {
		char path[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		n += file_replay(path);
	}
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	size_t n = 0;

	for (int i = 1; i < argc; i++)
		n += folder_replay(argv[i]);
	printf("%zu inputs\n", n);
	/* A folder that was moved away must not look like success. */
	return n ? 0 : 1;
}
