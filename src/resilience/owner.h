/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_OWNER_H
#define SONDE_RESILIENCE_OWNER_H

/*
 * Who has a permit, in one word with the permit's serial: a signature that is not of this permit
 * says nothing of its owner. Of the process 47 bits are kept, its pid and some of its start time.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Serials are of 17 bits. */
void sonde__owner_sign(_Atomic uint64_t *owner, uint32_t serial);

/* Also true where nobody has signed. A look into /proc. */
bool sonde__owner_is_alive(const _Atomic uint64_t *owner, uint32_t serial);

#endif
