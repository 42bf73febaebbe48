/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_TESTPOINT_H
#define SONDE_BASE_TESTPOINT_H

/*
 * A test point stands after each side effect that another thread can see. In builds with
 * -Dtestpoints=true a test installs a function that may stop or kill the calling thread there; in
 * all other builds it is nothing at all.
 */
#ifdef SONDE_TESTPOINTS
typedef void sonde__testpoint_fn(const char *name);
extern sonde__testpoint_fn *sonde__testpoint_hook;
#define SONDE__TESTPOINT(name) \
	do { \
		sonde__testpoint_fn *sonde__hook = \
			__atomic_load_n(&sonde__testpoint_hook, __ATOMIC_ACQUIRE); \
		if (sonde__hook) \
			sonde__hook(name); \
	} while (0)
#else
#define SONDE__TESTPOINT(name) ((void)0)
#endif

#endif
