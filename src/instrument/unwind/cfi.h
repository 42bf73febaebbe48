/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_INSTRUMENT_UNWIND_CFI_H
#define SONDE_INSTRUMENT_UNWIND_CFI_H

/* Call frame information: what the compiler wrote about each instruction's frame. */

#include "module.h"
#include "rule.h"

/*
 * The rule for the instruction at `address`, which lies in the code of `place`: BARE where its
 * tables say nothing, or nothing that a rule can say. Wait-free, async-signal-safe, reads the
 * module's mapping alone.
 */
struct sonde__rule sonde__cfi_read(const struct sonde__place *place, uint64_t address);

#endif
