/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_HOOKS_H
#define SONDE_HOOKS_H

/*
 * What the service has to say about what leaves: options.before_send is called for each span, log
 * record and error, and may change or drop it.
 *
 * A hook runs on the agent's background thread, one call at a time, before redaction, so that it
 * sees secrets, and what it adds or changes is redacted, too, and before limits count. While it
 * runs nothing is delivered: a slow one is told of, with how long it took. It must return: no
 * longjmp, no C++ exception, no pthread_exit.
 *
 * What a hook records itself (messages, errors) leaves without being shown to it, so that a hook
 * that reports an error does not go on for ever, and belongs to no trace. Recording through a
 * context of one's own, or on another thread, is not known as the hook's. sonde_agent_flush and
 * sonde_agent_stop fail in it with SONDE_E_INVALID.
 *
 * An item, and every text and value of it, is valid during the call alone. The functions here may
 * be called by the hook only, with the item it was given: not with NULL. Changes are bounded:
 * SONDE_E_NOMEM leaves the item as it was.
 */

#include <sonde/agent.h>
#include <sonde/attribute.h>
#include <sonde/context.h>
#include <sonde/exporter.h>

SONDE_BEGIN_DECLS

/* SONDE_SIGNAL_SPAN or SONDE_SIGNAL_LOG. */
SONDE_API enum sonde_signal sonde_outgoing_signal(const struct sonde_outgoing *item);
/* A captured error's log record; its event in a span is one of the span's. */
SONDE_API bool sonde_outgoing_is_error(const struct sonde_outgoing *item);

/* Trace and span; all zero where there are none. */
SONDE_API struct sonde_context sonde_outgoing_context(const struct sonde_outgoing *item);
/* When a span began, or a record was captured. */
SONDE_API uint64_t sonde_outgoing_unix_ns(const struct sonde_outgoing *item);
/* Of a span; else 0. */
SONDE_API uint64_t sonde_outgoing_duration_ns(const struct sonde_outgoing *item);
/* enum sonde_level of a log record; 0 for spans. */
SONDE_API uint8_t sonde_outgoing_severity(const struct sonde_outgoing *item);
/* enum sonde_span_status of a span; 0 for log records. */
SONDE_API uint8_t sonde_outgoing_status(const struct sonde_outgoing *item);

/* A span's name, a log record's event name (perhaps empty), a selected event's name. */
SONDE_API struct sonde_text sonde_outgoing_name(const struct sonde_outgoing *item);
/* Not of log records: SONDE_E_UNSUPPORTED. A span's or event's name is never empty. */
SONDE_API int sonde_outgoing_set_name(struct sonde_outgoing *item, const char *name);

/* A log record's body, the description of a span's status. */
SONDE_API struct sonde_text sonde_outgoing_body(const struct sonde_outgoing *item);
SONDE_API int sonde_outgoing_set_body(struct sonde_outgoing *item, const char *body);

/*
 * Walks over attributes, and of a span over its events and links, with a cursor that begins as {0}.
 * False: no more, or something was changed since it began.
 */
struct sonde_outgoing_cursor {
	size_t piece;
	struct sonde_bytes rest;
	uint64_t n_changes;
};

SONDE_API bool sonde_outgoing_next(const struct sonde_outgoing *item,
				   struct sonde_outgoing_cursor *cursor,
				   struct sonde_item_view *ret);

/* False: there is none with the key. */
SONDE_API bool sonde_outgoing_get(const struct sonde_outgoing *item, const char *key,
				  struct sonde_value_view *ret);
/* Adds an attribute, or replaces the one with its key. */
SONDE_API int sonde_outgoing_set(struct sonde_outgoing *item, struct sonde_attr attr);
/* SONDE_E_NOT_FOUND: there is none. */
SONDE_API int sonde_outgoing_remove(struct sonde_outgoing *item, const char *key);

/*
 * From now on the calls about names and attributes are about the span's n-th event, counted from 0;
 * SONDE_OUTGOING_SELF: about the item itself again, as in the beginning. SONDE_E_NOT_FOUND: there
 * are not so many, and nothing is changed.
 */
#define SONDE_OUTGOING_SELF SIZE_MAX
SONDE_API int sonde_outgoing_select(struct sonde_outgoing *item, size_t event);

/* It does not leave: counted as SONDE_LOSS_HOOK. */
SONDE_API void sonde_outgoing_drop(struct sonde_outgoing *item);

SONDE_END_DECLS

#endif
