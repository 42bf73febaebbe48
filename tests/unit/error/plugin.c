/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that raises an error of its own type and is gone before anybody looks at it. */

#include <sonde/error.h>

SONDE_ERROR_TYPE(plugin_failed, sonde_conflict, "PLUGIN_FAILED", .http_status = 418,
		 .severity = SONDE_FATAL);

__attribute__((visibility("default"))) struct sonde_error *plugin_raise(struct sonde_error *cause);

struct sonde_error *plugin_raise(struct sonde_error *cause)
{
	return sonde_error_wrap(cause, &plugin_failed, "the plugin says %s", "no");
}
