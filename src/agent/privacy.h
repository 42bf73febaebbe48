/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_PRIVACY_H
#define SONDE_AGENT_PRIVACY_H

#include "agent/settings.h"
#include "redact/redact.h"

/*
 * Where the audit is written, absolute, because the service may change its folder later. A path
 * that cannot be had is said.
 */
void sonde__audit_read(struct sonde__settings *settings, const struct sonde_options *options);

/* What must not leave, as the settings say; what is wrong with them is said. SONDE_E_NOMEM. */
int sonde__privacy_init(struct sonde__redactor *redactor, const struct sonde__settings *settings);

#endif
