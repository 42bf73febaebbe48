/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_POOL_H
#define SONDE_ERROR_POOL_H

/* Inside the error layer: where objects come from and go to. */

#include "error/object.h"

#define SONDE__ERROR_POOL_SIZE 64

/*
 * An object in the state LIVE, its other fields undefined; NULL: out of memory. Lock-free;
 * allocates only while all of the pool is in use.
 */
struct sonde_error *sonde__error_take(void);

/* Gives back an object in the state FREED. Lock-free. */
void sonde__error_give(struct sonde_error *error);

#endif
