/* SPDX-License-Identifier: Apache-2.0 */
/* Names of error numbers, where the C library does not know them: of those that services meet. */

#include "base/error_number.h"

#include <errno.h>
#include <stddef.h>

#define NAME(number) { number, #number }

static const struct {
	int number;
	const char *name;
} names[] = {
	NAME(E2BIG), NAME(EACCES), NAME(EADDRINUSE), NAME(EADDRNOTAVAIL), NAME(EAGAIN),
	NAME(EALREADY), NAME(EBADF), NAME(EBUSY), NAME(ECANCELED), NAME(ECHILD),
	NAME(ECONNABORTED), NAME(ECONNREFUSED), NAME(ECONNRESET), NAME(EDEADLK),
	NAME(EDESTADDRREQ), NAME(EDOM), NAME(EDQUOT), NAME(EEXIST), NAME(EFAULT), NAME(EFBIG),
	NAME(EHOSTUNREACH), NAME(EILSEQ), NAME(EINPROGRESS), NAME(EINTR), NAME(EINVAL), NAME(EIO),
	NAME(EISCONN), NAME(EISDIR), NAME(ELOOP), NAME(EMFILE), NAME(EMLINK), NAME(EMSGSIZE),
	NAME(ENAMETOOLONG), NAME(ENETDOWN), NAME(ENETRESET), NAME(ENETUNREACH), NAME(ENFILE),
	NAME(ENOBUFS), NAME(ENODEV), NAME(ENOENT), NAME(ENOEXEC), NAME(ENOLCK), NAME(ENOMEM),
	NAME(ENOPROTOOPT), NAME(ENOSPC), NAME(ENOSYS), NAME(ENOTCONN), NAME(ENOTDIR),
	NAME(ENOTEMPTY), NAME(ENOTSOCK), NAME(ENOTSUP), NAME(ENOTTY), NAME(ENXIO),
	NAME(EOVERFLOW), NAME(EPERM), NAME(EPIPE), NAME(EPROTO), NAME(ERANGE), NAME(EROFS),
	NAME(ESPIPE), NAME(ESRCH), NAME(ESTALE), NAME(ETIMEDOUT), NAME(ETXTBSY), NAME(EXDEV),
};

const char *sonde__errno_name(int number)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == number)
			return names[i].name;
	return "";
}
