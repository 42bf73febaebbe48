/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a seen set as anybody may have left them. The first byte says what the rest is: a
 * whole file, or what a good one is overwritten with from some place on, or the marks. Whatever it
 * is, the first answer is one of the three, and what comes after it finds a set.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/seen.h"
#include "pipeline/seen_marks.h"
#include "target.h"

#define NOW UINT64_C(1800000000)
#define FINGERPRINT UINT64_C(0x228fa42ba1ac12c3)
#define FILE_SIZE (512 + 256 * 512)

static char directory[] = "/tmp/sonde-fuzz-XXXXXX";

static void path_make(char path[128], const char *name)
{
	snprintf(path, 128, "%s/%s", directory, name);
}

static void forget(const char *name)
{
	char path[128];

	path_make(path, name);
	(void)unlink(path);
}

static void put(const char *name, const uint8_t *data, size_t size, off_t at)
{
	char path[128];
	int fd;

	path_make(path, name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0);
	CHECK(pwrite(fd, data, size, at) == (ssize_t)size);
	CHECK(close(fd) == 0);
}

static struct sonde__seen_answer ask(const char *release)
{
	struct sonde__seen_options options = {
		.directory = directory,
		.service = { "s", 1 },
		.release = { release, strlen(release) },
		.regression_days = 14,
		.n_slots = 8,
	};
	struct sonde__seen_answer answer;
	struct sonde__seen seen;

	CHECK(sonde__seen_init(&seen, &options) == SONDE_OK);
	answer = sonde__seen_ask(&seen, FINGERPRINT, NOW);
	sonde__seen_deinit(&seen);
	return answer;
}

static void check_marks(const uint8_t *data, size_t size)
{
	char *text = text_new(data, size);

	CHECK(sonde__release_compare(text, text) == SONDE__RELEASE_SAME);
	switch (sonde__release_compare(text, "1.2.3-rc1")) {
	case SONDE__RELEASE_BEFORE:
		CHECK(sonde__release_compare("1.2.3-rc1", text) == SONDE__RELEASE_AFTER);
		break;
	case SONDE__RELEASE_AFTER:
		CHECK(sonde__release_compare("1.2.3-rc1", text) == SONDE__RELEASE_BEFORE);
		break;
	default:
		break;
	}
	free(text);
	put("s.resolved", data, size, 0);
	(void)ask("1.2.3");
}

static void clean_up(void)
{
	forget("s.seen");
	forget("s.seen.bad");
	forget("s.resolved");
	(void)rmdir(directory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_made;
	struct sonde__seen_answer answer;
	struct stat status;
	char path[128];

	if (size < 4)
		return 0;
	if (!is_made) {
		CHECK(mkdtemp(directory));
		CHECK(atexit(clean_up) == 0);
		is_made = true;
	}
	forget("s.seen");
	forget("s.resolved");
	if (data[0] % 3 == 0) {
		put("s.seen", data + 1, size - 1, 0);
	} else if (data[0] % 3 == 1) {
		(void)ask("1");
		put("s.seen", data + 4, size - 4, (data[1] << 9 | data[2]) % FILE_SIZE);
	} else {
		check_marks(data + 1, size - 1);
	}
	answer = ask("1.2.3");
	CHECK(!answer.is_first || !answer.is_regressed);
	answer = ask("1.2.3");
	CHECK(!answer.is_first && !answer.is_regressed);
	path_make(path, "s.seen");
	CHECK(lstat(path, &status) == 0 && status.st_size == FILE_SIZE);
	return 0;
}
