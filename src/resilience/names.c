/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the toolkit's enumerations. */
#include <sonde/resilience.h>

const char *sonde_pattern_name(enum sonde_pattern pattern)
{
	switch (pattern) {
#define NAME_OF(name, number, key) \
	case name: \
		return key;
		SONDE_PATTERN_MAP(NAME_OF)
	}
	return "unknown";
}

const char *sonde_observed_name(enum sonde_observed what)
{
	switch (what) {
		SONDE_OBSERVED_MAP(NAME_OF)
#undef NAME_OF
	}
	return "unknown";
}
