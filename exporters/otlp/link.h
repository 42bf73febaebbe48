/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_LINK_H
#define SONDE_OTLP_LINK_H

/*
 * An exporter's way to its receivers: connections that are begun anew where somebody closed their
 * descriptors, or libcurl ran out of memory.
 */

#include <stdbool.h>
#include <stddef.h>

#include <sonde/exporter.h>

#include "http.h"

struct sonde__otlp_link {
	struct sonde__otlp_targets targets;
	struct sonde__otlp_http *http;
	struct sonde__otlp_http *torn; /* The one before, whose requests are for another try. */
};

/*
 * Copies the pointers; the targets outlive the link. May block briefly. SONDE_E_SYSTEM, where
 * libcurl cannot be used; SONDE_E_NOMEM. Says on `host` what will make it slow.
 */
int sonde__otlp_link_init(struct sonde__otlp_link *link, const struct sonde__otlp_targets *targets,
			  const struct sonde_exporter_host *host);
/* As the member `close` of struct sonde_exporter. */
void sonde__otlp_link_deinit(struct sonde__otlp_link *link, bool forked);

/* As the members of struct sonde_exporter. */
enum sonde_outcome sonde__otlp_link_send(struct sonde__otlp_link *link,
					 const struct sonde_request *request,
					 struct sonde_result *ret);
size_t sonde__otlp_link_poll(struct sonde__otlp_link *link, struct pollfd *fds, size_t capacity,
			     int *timeout_ms);
bool sonde__otlp_link_progress(struct sonde__otlp_link *link, struct sonde_result *ret);
void sonde__otlp_link_cancel(struct sonde__otlp_link *link, void *token);

#endif
