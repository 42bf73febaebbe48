/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_FINGERPRINT_HOOK_H
#define SONDE_PIPELINE_FINGERPRINT_HOOK_H

/* options.fingerprint: see <sonde/fingerprint.h>. */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/agent.h>

#include "pipeline/callout.h"
#include "record/layout.h"

struct sonde__fingerprint_hook {
	sonde_fingerprint_fn *call; /* NULL: there is none. */
	void *user;
	struct sonde__callout callout;
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
