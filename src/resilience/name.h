/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_NAME_H
#define SONDE_RESILIENCE_NAME_H

/* " payments", or nothing: behind the word for what has the name, in messages. */
struct sonde__name {
	const char *space;
	const char *text;
};

/* `name` may be NULL, and must outlive the result. */
static inline struct sonde__name sonde__name_of(const char *name)
{
	return name && *name ? (struct sonde__name){ " ", name } : (struct sonde__name){ "", "" };
}

#endif
