/* SPDX-License-Identifier: Apache-2.0 */

#include "cache.h"

struct sonde__rule_entry sonde__rules[SONDE__RULES];

_Static_assert(sizeof(struct sonde__rule) == sizeof(uint64_t), "a rule is a word");
