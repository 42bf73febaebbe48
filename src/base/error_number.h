/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_ERROR_NUMBER_H
#define SONDE_BASE_ERROR_NUMBER_H

/* "ENOENT"; "" for 0 and for a number that is none. Async-signal-safe, keeps errno. */
const char *sonde__errno_name(int number);

#endif
