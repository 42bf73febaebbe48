/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded: a name server that does not answer. Addresses in digits are found as ever. */
#include <dlfcn.h>
#include <netdb.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static int is_digits(const char *node)
{
	return !node || (node[0] >= '0' && node[0] <= '9') || node[0] == '[';
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **ret)
{
	int (*found)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	*(void **)&found = dlsym(RTLD_NEXT, "getaddrinfo");
	if (!is_digits(node))
		usleep(20 * 1000 * 1000);
	return found(node, service, hints, ret);
}
