/* SPDX-License-Identifier: Apache-2.0 */
/* A deadline as a descriptor: the kernel keeps the time, no thread does. */

#include <sonde/deadline.h>

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "resilience/clock.h"

static int timer_set(int fd, uint64_t moment_ns)
{
	/* All zero: it is never readable. A moment is not 0 here: that is no deadline. */
	struct itimerspec when = { { 0, 0 }, { 0, 0 } };

	if (moment_ns != SONDE__NEVER) {
		when.it_value.tv_sec = (time_t)(moment_ns / SONDE__NS_PER_S);
		when.it_value.tv_nsec = (long)(moment_ns % SONDE__NS_PER_S);
	}
	return timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, /* old_value= */ NULL) ?
		       SONDE_E_SYSTEM :
		       SONDE_OK;
}

int sonde_deadline_timer_set(int fd)
{
	int number = errno;
	int status = timer_set(fd, sonde__deadline_current());

	errno = number;
	return status;
}

int sonde_deadline_timer_open(void)
{
	int number = errno;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd >= 0 && timer_set(fd, sonde__deadline_current())) {
		close(fd);
		fd = -1;
	}
	errno = number;
	return fd >= 0 ? fd : SONDE_E_SYSTEM;
}
