/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_ACCOUNT_H
#define SONDE_BOX_ACCOUNT_H

#include <stdbool.h>

/*
 * Accounts begin at zero. In a box that is continued, what is still queued in it counts as captured
 * anew, and nothing else of its past counts. Not while accounts are read.
 */
void sonde__box_account_begin(bool is_continued);

#endif
