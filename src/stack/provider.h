/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_PROVIDER_H
#define SONDE_STACK_PROVIDER_H

/* Who walks stacks and who names addresses, where another library offers to. */

#include <sonde/stack.h>

/* NULL: there is none. Wait-free, async-signal-safe. */
const struct sonde_stack_provider *sonde__stack_provider(void);

#endif
