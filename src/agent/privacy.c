/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/privacy.h"

#include "base/compiler.h"
#include "base/diagnostic.h"

static void say(void *user SONDE__UNUSED, const char *what, const char *text)
{
	sonde__report(SONDE_WARN, "SONDE_REDACT=%s names unknown %s: what is usually redacted is, too",
		      text, what);
}

int sonde__privacy_init(struct sonde__redactor *redactor, const struct sonde__settings *settings)
{
	return sonde__redactor_init(redactor, settings->redact_keys, settings->redact, say,
				    /* user= */ NULL);
}
