/* SPDX-License-Identifier: Apache-2.0 */
/* The hook that a test installs; in builds without test points this file is empty. */

#include "base/testpoint.h"

#ifdef SONDE_TESTPOINTS
sonde__testpoint_fn *sonde__testpoint_hook;
#else
/* A translation unit may not be empty. */
typedef int sonde__testpoint_none;
#endif
