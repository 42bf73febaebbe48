/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exporters by name: those in libsonde, and those that other libraries registered from their
 * constructors, before main and perhaps before any of our own code ran. Slots are claimed by one
 * compare-exchange and never given back, so finding needs no lock.
 */
#include "agent/registry.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

#define REGISTRY_SIZE 16

static const struct sonde_exporter *const built_in[] = {
	&sonde_console_exporter,
	&sonde_file_exporter,
	&sonde_memory_exporter,
	&sonde_null_exporter,
};

static const struct sonde_exporter *_Atomic registered[REGISTRY_SIZE];

/* A1 pairs with R1 in sonde_exporter_register: the struct's contents are seen with its address. */
static const struct sonde_exporter *registered_at(size_t i)
{
	return atomic_load_explicit(&registered[i], memory_order_acquire); /* A1 */
}

const struct sonde_exporter *sonde__registry_find(const char *name)
{
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(built_in); i++) {
		if (!strcmp(built_in[i]->name, name))
			return built_in[i];
	}
	for (size_t i = 0; i < REGISTRY_SIZE && registered_at(i); i++) {
		if (!strcmp(registered_at(i)->name, name))
			return registered_at(i);
	}
	return NULL;
}

/* What came later than `close` an exporter may not know. */
static bool is_complete(const struct sonde_exporter *exporter)
{
	return exporter && exporter->size >= offsetof(struct sonde_exporter, count) &&
	       exporter->name && exporter->name[0] && exporter->open && exporter->encode &&
	       exporter->send && exporter->close;
}

int sonde_exporter_register(const struct sonde_exporter *exporter)
{
	if (!is_complete(exporter))
		return SONDE_E_INVALID;
	if (sonde__registry_find(exporter->name))
		return sonde__registry_find(exporter->name) == exporter ? SONDE_OK : SONDE_E_EXISTS;
	for (size_t i = 0; i < REGISTRY_SIZE; i++) {
		const struct sonde_exporter *none = NULL;

		/* R1 pairs with A1. The failure order is relaxed: the slot is somebody else's. */
		if (atomic_compare_exchange_strong_explicit(&registered[i], &none, exporter,
							    memory_order_release,
							    memory_order_relaxed))
			return SONDE_OK;
	}
	return SONDE_E_NOMEM;
}

static size_t append_name(char *buffer, size_t size, size_t used, const char *name)
{
	int n = snprintf(buffer + used, size - used, "%s%s", used ? ", " : "", name);

	return n < 0 || used + (size_t)n >= size ? used : used + (size_t)n;
}

void sonde__registry_list(char *buffer, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(built_in); i++)
		used = append_name(buffer, size, used, built_in[i]->name);
	for (size_t i = 0; i < REGISTRY_SIZE && registered_at(i); i++)
		used = append_name(buffer, size, used, registered_at(i)->name);
}
