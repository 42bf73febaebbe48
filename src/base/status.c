/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status codes and loss reasons as words, from the tables in the public headers; nothing is said
 * twice.
 */

#include <sonde/agent.h>
#include <sonde/base.h>

SONDE_API const char *sonde_status_name(int status)
{
	switch (status) {
#define STATUS_NAME(name, value, text) \
	case value: \
		return #name;
		SONDE_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
	default:
		return "SONDE_E_UNKNOWN";
	}
}

SONDE_API const char *sonde_status_text(int status)
{
	switch (status) {
#define STATUS_TEXT(name, value, text) \
	case value: \
		return text;
		SONDE_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
	default:
		return "not a status of this version";
	}
}

SONDE_API const char *sonde_loss_name(enum sonde_loss reason)
{
	switch (reason) {
#define LOSS_NAME(name, number, key, text) \
	case name: \
		return key;
		SONDE_LOSS_MAP(LOSS_NAME)
#undef LOSS_NAME
	default:
		return "unnamed";
	}
}

SONDE_API const char *sonde_loss_text(enum sonde_loss reason)
{
	switch (reason) {
#define LOSS_TEXT(name, number, key, text) \
	case name: \
		return text;
		SONDE_LOSS_MAP(LOSS_TEXT)
#undef LOSS_TEXT
	default:
		return "not a reason of this version";
	}
}

#define LOSS_ONE(name, number, key, text) +1
_Static_assert((0 SONDE_LOSS_MAP(LOSS_ONE)) == SONDE_LOSS_COUNT,
	       "SONDE_LOSS_COUNT follows the table");
#undef LOSS_ONE

SONDE_API const char *sonde_version(void)
{
	return SONDE_VERSION;
}
