/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Randomness from the kernel or none: there is no fallback to the time or the pid, because ids that
 * two processes share would mix their traces.
 */

#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

/* getrandom does not wait here: before the kernel's pool is ready, /dev/urandom answers at once. */
static size_t bytes_from_call(uint8_t *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = getrandom(bytes + done, size - done, GRND_NONBLOCK);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	return done;
}

static size_t bytes_from_file(uint8_t *bytes, size_t size)
{
	size_t done = 0;
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	while (done < size) {
		ssize_t n = read(fd, bytes + done, size - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	close(fd);
	return done;
}

int sonde__random_bytes(void *buffer, size_t size)
{
	int saved_errno = errno;
	uint8_t *bytes = buffer;
	size_t done = bytes_from_call(bytes, size);

	if (done < size)
		done += bytes_from_file(bytes + done, size - done);
	errno = saved_errno;
	return done == size ? 0 : -1;
}
