/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_REGISTRY_H
#define SONDE_AGENT_REGISTRY_H

#include <stddef.h>

#include <sonde/exporter.h>

/* The exporter of that name, built in or registered; NULL where none is linked. */
const struct sonde_exporter *sonde__registry_find(const char *name);

/* The names of all that are linked, "console, file, …", for diagnostics. */
void sonde__registry_list(char *buffer, size_t size);

#endif
