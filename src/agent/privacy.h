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

/*
 * What a diagnostic may say, in its room: variables, answers and paths are quoted in them. By the
 * usual rules, whatever the settings are, which are read while the first are said.
 */
void sonde__privacy_filter(char *text, size_t capacity);

/* What must not leave, as the settings say; what is wrong with them is said. SONDE_E_NOMEM. */
int sonde__privacy_init(struct sonde__redactor *redactor, const struct sonde__settings *settings);

#endif
