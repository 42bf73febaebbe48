/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_PROVIDER_H
#define SONDE_STACK_PROVIDER_H

/* Who walks stacks and who names addresses, where another library offers to. */

#include <sonde/stack.h>

/* NULL: there is none. Wait-free, async-signal-safe, both. */
const struct sonde_stack_provider *sonde__stack_provider(void);
const struct sonde_symbol_provider *sonde__symbol_provider(void);

#endif
