/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_MISUSE_H
#define SONDE_ERROR_MISUSE_H

/* Inside the error layer: saying that a program misused an error. */

#include "base/compiler.h"
#include "error/object.h"

/*
 * Says that `error` "was WHAT", where it was raised and, for one that was freed, who freed it: once
 * in the life of the process; in builds with assertions up to 16 times. Keeps errno.
 */
SONDE__COLD void sonde__error_report_misuse(const char *what, const struct sonde_error *error);

#endif
