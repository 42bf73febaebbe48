/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTER_H
#define SONDE_EXPORTER_H

/*
 * How to write an exporter. An exporter encodes a batch once and sends the encoded bytes as often
 * as it is told. It classifies what happened and decides nothing: it never retries, waits, sleeps
 * or reads the environment. All of it runs on the agent's background thread, never concurrently for
 * one instance, except `open`, which runs on the thread that starts the agent (or, in a forked
 * child, on the child's background thread).
 */

#include <sonde/base.h>

SONDE_BEGIN_DECLS

struct pollfd;

/* ---- What is exported ------------------------------------------------------------------------ */

/*
 * Attributes, events and links are handed over as encoded at capture: protobuf fields of the
 * message they belong to, valid UTF-8, within the limits, keys unique. Copy them as they are, or
 * read them with the readers below.
 */
struct sonde_span_view {
	uint8_t trace_id[16];
	uint8_t span_id[8];
	uint8_t parent_id[8]; /* All zero: a root. */
	uint64_t start_unix_ns;
	uint64_t end_unix_ns; /* Always > start. */
	struct sonde_text name; /* Never empty. */
	struct sonde_text trace_state;
	struct sonde_text status_description;
	uint32_t flags; /* Of opentelemetry.proto.trace.v1.Span, with the is-remote bits. */
	uint8_t kind; /* enum sonde_kind */
	uint8_t status; /* enum sonde_span_status */
	uint32_t dropped_attributes;
	uint32_t dropped_events;
	uint32_t dropped_links;
	const struct sonde_bytes *pieces; /* Together: fields 9, 11 and 13 of Span. */
	size_t n_pieces;
};

struct sonde_log_view {
	uint8_t trace_id[16]; /* All zero: none. */
	uint8_t span_id[8];
	uint64_t unix_ns;
	uint64_t observed_unix_ns;
	struct sonde_text body;
	struct sonde_text event_name; /* "exception" for captured errors, else empty. */
	uint8_t severity; /* enum sonde_level */
	uint8_t trace_flags;
	uint32_t dropped_attributes;
	/* Together: field 6 of opentelemetry.proto.logs.v1.LogRecord. */
	const struct sonde_bytes *pieces;
	size_t n_pieces;
};

/*
 * Metrics are counted by the agent. An exporter sees points: what one series is at one time. Only
 * an exporter whose `accepts` says so is handed any.
 */
enum sonde_metric_type {
	SONDE_METRIC_SUM = 1,
	SONDE_METRIC_GAUGE = 2,
	SONDE_METRIC_HISTOGRAM = 3, /* Exponential, of values that are not negative. */
};

struct sonde_metric_view {
	struct sonde_text name;
	struct sonde_text description;
	struct sonde_text unit;
	enum sonde_metric_type type;
	bool is_monotonic; /* A sum that never goes down. */
	/* Of sums and histograms: what was added since the collection before, not since a start. */
	bool is_delta;
};

/*
 * Bucket i counts values in (base^(offset + i), base^(offset + i + 1)]; base is 2^(2^-scale).
 * Values up to the threshold count as zero.
 */
struct sonde_histogram_view {
	uint64_t count; /* zero_count and all buckets. */
	double sum;
	uint64_t zero_count;
	double zero_threshold;
	int32_t scale;
	int32_t offset;
	const uint64_t *buckets;
	size_t n_buckets;
};

struct sonde_point_view {
	/* The points of one metric stand together in a batch, with the same pointer here. */
	const struct sonde_metric_view *metric;
	uint64_t start_unix_ns;
	uint64_t unix_ns; /* Always > start. */
	/* As SONDE_FIELDS_POINT; a histogram's as SONDE_FIELDS_HISTOGRAM_POINT. Keys unique. */
	struct sonde_bytes attributes;
	int64_t value; /* Of a sum or a gauge. */
	struct sonde_histogram_view histogram;
};

struct sonde_resource {
	struct sonde_bytes attributes; /* Field 1 of opentelemetry.proto.resource.v1.Resource. */
	struct sonde_text schema_url;
	struct sonde_text scope_name;
	struct sonde_text scope_version;
};

struct sonde_batch {
	size_t size;
	enum sonde_signal signal; /* SPAN, LOG or METRIC: says which of the arrays is set. */
	const struct sonde_resource *resource;
	const struct sonde_span_view *spans;
	const struct sonde_log_view *logs;
	size_t n_items; /* Never 0. */
	const struct sonde_point_view *points;
};

/*
 * ---- Reading what was encoded at capture ------------------------------------------------------
 */

struct sonde_value_view {
	enum {
		SONDE_VALUE_EMPTY = 0,
		SONDE_VALUE_STR = 1,
		SONDE_VALUE_BOOL = 2,
		SONDE_VALUE_INT = 3,
		SONDE_VALUE_DOUBLE = 4,
		SONDE_VALUE_ARRAY = 5,
		SONDE_VALUE_BYTES = 7,
	} type;
	union {
		struct sonde_text string;
		bool boolean;
		int64_t integer;
		double real;
		struct sonde_bytes array; /* For sonde_value_next(). */
		struct sonde_bytes bytes;
	} as;
};

enum sonde_item_type {
	SONDE_ITEM_ATTRIBUTE = 1,
	SONDE_ITEM_EVENT = 2,
	SONDE_ITEM_LINK = 3,
};

/*
 * One attribute, event or link; an event's and a link's own attributes are read from `attributes`.
 */
struct sonde_item_view {
	enum sonde_item_type type;
	struct sonde_text name; /* An attribute's key, an event's name. */
	struct sonde_value_view value; /* Of an attribute. */
	uint64_t unix_ns; /* Of an event. */
	uint8_t trace_id[16]; /* Of a link. */
	uint8_t span_id[8];
	struct sonde_text trace_state;
	uint32_t dropped_attributes;
	struct sonde_bytes attributes; /* Of an event or link, for sonde_item_next(). */
};

/* Which message's fields `rest` holds. */
enum sonde_fields {
	SONDE_FIELDS_SPAN = 1, /* A piece of a sonde_span_view. */
	SONDE_FIELDS_LOG = 2, /* A piece of a sonde_log_view. */
	SONDE_FIELDS_EVENT = 3,
	SONDE_FIELDS_LINK = 4,
	SONDE_FIELDS_RESOURCE = 5,
	SONDE_FIELDS_POINT = 6, /* NumberDataPoint */
	SONDE_FIELDS_HISTOGRAM_POINT = 7, /* ExponentialHistogramDataPoint */
};

/* Reads the next item, moves `rest` past it, and returns true; false at the end. Trusts nothing. */
SONDE_API bool sonde_item_next(enum sonde_fields fields, struct sonde_bytes *rest,
			       struct sonde_item_view *ret);
SONDE_API bool sonde_value_next(struct sonde_bytes *rest, struct sonde_value_view *ret);

/*
 * ---- What an exporter does ---------------------------------------------------------------------
 */

/* Bytes that grow up to a limit the pipeline sets. Append fails with SONDE_E_NOMEM past it. */
struct sonde_buffer {
	uint8_t *data;
	size_t size;
	size_t capacity;
	size_t limit;
};

SONDE_API int sonde_buffer_append(struct sonde_buffer *buffer, const void *data, size_t size);
/* Room for `size` more bytes at data + size, or NULL; the caller adds what it used to `size`. */
SONDE_API uint8_t *sonde_buffer_reserve(struct sonde_buffer *buffer, size_t size);

/* What the agent hands an exporter that opens. Valid during the call only, except `report`. */
struct sonde_exporter_host {
	size_t size;
	void *context;
	/* The destination's setting, else the environment's, else NULL; empty counts as not set. */
	const char *(*setting)(void *context, const char *name);
	/* Says something once to the one who runs the service; `name` and text are copied. */
	void (*report)(void *context, enum sonde_level level, const char *text);
};

enum sonde_outcome {
	SONDE_OUTCOME_PENDING = 0, /* From send: a later `progress` says. */
	SONDE_OUTCOME_ACCEPTED = 1, /* All but `n_rejected` items. */
	/* Nothing was taken; worth another try, after `retry_after_ms` if given. */
	SONDE_OUTCOME_RETRY = 2,
	SONDE_OUTCOME_REFUSED = 3, /* Never to be sent again. */
};

struct sonde_result {
	enum sonde_outcome outcome;
	void *token; /* The request's. */
	uint64_t n_rejected; /* Of a partial success. */
	int64_t retry_after_ms; /* The receiver's wish; -1: none. */
	char reason[256]; /* One line for people, empty when all went well. */
};

struct sonde_request {
	size_t size;
	void *token;
	enum sonde_signal signal;
	/* What `encode` wrote; stays until the result is reported or cancelled. */
	struct sonde_bytes body;
	size_t n_items;
	uint32_t timeout_ms; /* The exporter gives up by itself after this long: RETRY. */
};

struct sonde_exporter {
	size_t size;
	const char *name; /* Lower case; what the settings call it. */

	/*
	 * Makes an instance; SONDE_E_… and a report() where that is not possible. May block
	 * briefly.
	 */
	int (*open)(const struct sonde_exporter_host *host, void **ret);
	/* Which signals it takes; NULL: spans and logs. Metrics are to be asked for. */
	bool (*accepts)(void *instance, enum sonde_signal signal);
	/*
	 * Appends the request for the whole batch to `out`. SONDE_E_TOO_BIG: halve the batch and
	 * call again. SONDE_E_LIMITED: enough for now, what was to be sent of it is a loss to a
	 * limiter.
	 */
	int (*encode)(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out);
	/* Begins to send; never blocks. Fills *ret unless it returns PENDING. */
	enum sonde_outcome (*send)(void *instance, const struct sonde_request *request,
				   struct sonde_result *ret);
	/*
	 * The rest is for exporters whose send may return PENDING; NULL otherwise. What to wait
	 * for: writes at most `capacity` entries, returns how many; *timeout_ms is lowered to when
	 * `progress` wants to be called anyway.
	 */
	size_t (*poll)(void *instance, struct pollfd *fds, size_t capacity, int *timeout_ms);
	/*
	 * Goes on with what is under way; true and *ret for one finished request; call until false.
	 */
	bool (*progress)(void *instance, struct sonde_result *ret);
	/* Forgets the request at once, without a word to the other side. */
	void (*cancel)(void *instance, void *token);
	/*
	 * Frees the instance; never waits for the other side. `forked`: in a forked child, where
	 * the connections are the parent's: close descriptors, say nothing on them.
	 */
	void (*close)(void *instance, bool forked);

	/*
	 * For exporters that send a part of what there is; NULL: all of it. How many of the batch's
	 * items `encode` would send; asked just before. The others are done with and count as
	 * exported; where there are none to send, neither encode nor send is called.
	 */
	size_t (*count)(void *instance, const struct sonde_batch *batch);
};

/*
 * Makes an exporter known by its name; the struct must live as long as the process. Libraries of
 * exporters call it from a constructor. SONDE_E_EXISTS where the name is taken. Lock-free.
 */
SONDE_API int sonde_exporter_register(const struct sonde_exporter *exporter);

/* The exporters in libsonde itself. */
SONDE_API extern const struct sonde_exporter sonde_console_exporter;
SONDE_API extern const struct sonde_exporter sonde_file_exporter;
SONDE_API extern const struct sonde_exporter sonde_memory_exporter;
SONDE_API extern const struct sonde_exporter sonde_null_exporter;

SONDE_END_DECLS

#endif
