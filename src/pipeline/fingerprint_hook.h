/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_FINGERPRINT_HOOK_H
#define SONDE_PIPELINE_FINGERPRINT_HOOK_H

/* options.fingerprint: see <sonde/fingerprint.h>. */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/agent.h>
#include <sonde/context.h>

#include "record/layout.h"

struct sonde__fingerprint_hook {
	sonde_fingerprint_fn *call; /* NULL: there is none. */
	void *user;
	/* What the hook records carries this trace id, by which it is known. */
	struct sonde_context context;
	uint64_t n_slow; /* Since it was last said, */
	uint64_t slowest_ns;
	uint64_t said_ns;
};

void sonde__fingerprint_hook_init(struct sonde__fingerprint_hook *hook, sonde_fingerprint_fn *call,
				  void *user);

/* Whether the hook recorded it. */
bool sonde__fingerprint_hook_is_own(const struct sonde__fingerprint_hook *hook,
				    const struct sonde__error_record *record);

/* What the hook says about a record; `otherwise` if it says nothing. */
uint64_t sonde__fingerprint_hook_ask(struct sonde__fingerprint_hook *hook,
				     const struct sonde__error_record *record, uint64_t otherwise);

#endif
