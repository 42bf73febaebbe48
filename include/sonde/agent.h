/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_H
#define SONDE_AGENT_H

/*
 * The agent: one a process. It owns the box that is recorded into and the one background thread
 * that delivers. Settings come from the options, then from the standard OTEL_* and the SONDE_*
 * environment variables, then from defaults; a bad value is reported by name and value and the
 * default is used.
 */

#include <sonde/base.h>
#include <sonde/breadcrumb.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

struct sonde_agent;
struct sonde_exporter;

/* Why something captured was not exported. The number is part of the ABI; new ones are appended. */
#define SONDE_LOSS_MAP(X) \
	X(SONDE_LOSS_RING_FULL, 0, "ring_full", "the ring was full") \
	X(SONDE_LOSS_TOO_BIG, 1, "too_big", "larger than a record can be") \
	X(SONDE_LOSS_NO_BOX, 2, "no_box", "no shared memory to record into") \
	X(SONDE_LOSS_ABANDONED, 3, "abandoned", "its writer never finished") \
	X(SONDE_LOSS_INVALID, 4, "invalid", "the record did not pass the reader's check") \
	X(SONDE_LOSS_UNSAMPLED, 5, "unsampled", "sampled out") \
	X(SONDE_LOSS_LIMITED, 6, "limited", "held back by a limiter") \
	X(SONDE_LOSS_QUEUE_FULL, 7, "queue_full", "the byte budget was full while the collector was away") \
	X(SONDE_LOSS_NO_MEMORY, 8, "no_memory", "out of memory while encoding") \
	X(SONDE_LOSS_REFUSED, 9, "refused", "the collector refused it for good") \
	X(SONDE_LOSS_REJECTED, 10, "rejected", "rejected by a partial success") \
	X(SONDE_LOSS_UNKNOWN, 11, "unknown", "outcome unknown at the deadline") \
	X(SONDE_LOSS_DEADLINE, 12, "deadline", "not sent when the agent stopped") \
	X(SONDE_LOSS_EVICTED, 13, "evicted", "the table of waiting parts was full") \
	X(SONDE_LOSS_NO_EXPORTER, 14, "no_exporter", "no exporter takes this signal") \
	X(SONDE_LOSS_DEAD_PROCESS, 15, "dead_process", "left in the box of a process that died") \
	X(SONDE_LOSS_HOOK, 16, "hook", "dropped by a hook")

enum sonde_loss {
#define SONDE__LOSS(name, number, key, text) name = number,
	SONDE_LOSS_MAP(SONDE__LOSS)
#undef SONDE__LOSS
};
#define SONDE_LOSS_COUNT 17

/* "ring_full" and its sentence; never NULL. */
SONDE_API const char *sonde_loss_name(enum sonde_loss reason);
SONDE_API const char *sonde_loss_text(enum sonde_loss reason);

/* How captured errors leave the process. */
enum sonde_exception_signal {
	SONDE_EXCEPTION_DEFAULT = 0, /* OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN, else both. */
	SONDE_EXCEPTION_SPAN_EVENT = 1,
	SONDE_EXCEPTION_LOG = 2,
	SONDE_EXCEPTION_BOTH = 3,
};

/*
 * The head sampler: which spans are recorded. PARENT_…: a span with a parent is recorded if its
 * parent is, and the sampler decides where traces begin; else it decides for every span. RATIO
 * takes the share `sampler_ratio` of all traces by their ids, the same in every process that
 * decides by the same bits, and at a higher ratio all that it takes at a lower one. What is not
 * recorded is counted: as a loss (SONDE_LOSS_UNSAMPLED), and exactly in the figures of its site.
 */
enum sonde_sampler {
	SONDE_SAMPLER_DEFAULT = 0, /* OTEL_TRACES_SAMPLER, else PARENT_ALWAYS_ON. */
	SONDE_SAMPLER_ALWAYS_ON = 1,
	SONDE_SAMPLER_ALWAYS_OFF = 2,
	SONDE_SAMPLER_RATIO = 3,
	SONDE_SAMPLER_PARENT_ALWAYS_ON = 4,
	SONDE_SAMPLER_PARENT_ALWAYS_OFF = 5,
	SONDE_SAMPLER_PARENT_RATIO = 6,
};

/*
 * One place to send to. `exporter` wins over `name`. `settings` holds "NAME=value" strings that
 * beat the environment for this exporter alone, ends with NULL and may be NULL itself:
 * "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318".
 */
struct sonde_destination {
	const char *name; /* "otlp", "console", "file", "memory", "null" or one that registered. */
	const struct sonde_exporter *exporter;
	const char *const *settings;
};

/*
 * A diagnostic: one short sentence about the agent itself. Called on any thread but a signal
 * handler's.
 */
typedef void sonde_diagnostic_fn(void *user, enum sonde_level level, const char *text);

/* Sees each item before it leaves; see <sonde/hooks.h>. */
struct sonde_outgoing;
typedef void sonde_before_send_fn(void *user, struct sonde_outgoing *item);

/*
 * What an error is grouped by, NULL: as it would have been. See <sonde/fingerprint.h>. The text is
 * read before the next call.
 */
struct sonde_fingerprint_view;
typedef const char *sonde_fingerprint_fn(void *user, const struct sonde_fingerprint_view *error);

/* Zero in any field means: the environment, else the default named here. Everything is copied. */
struct sonde_options {
	size_t size;

	const char *service_name; /* OTEL_SERVICE_NAME; unknown_service:<executable> */
	const char *service_version;
	const char *service_namespace;
	const char *deployment_environment;
	const char *resource_attributes; /* As OTEL_RESOURCE_ATTRIBUTES, and beats it key by key. */

	/*
	 * OTEL_TRACES_EXPORTER, OTEL_LOGS_EXPORTER; otlp. Metrics go wherever OTEL_METRICS_EXPORTER
	 * says, also of a destination's own settings; else to each but "console" and "memory".
	 */
	const struct sonde_destination *destinations;
	size_t n_destinations;

	/* SONDE_MEMORY_LIMIT; 12 MiB. Box, batches and queues; at least 1 MiB. */
	uint64_t memory_limit_bytes;
	/* SONDE_BOX_DIRECTORY; the user's runtime directory, else /dev/shm. */
	const char *box_directory;

	uint32_t schedule_delay_ms; /* OTEL_BSP_SCHEDULE_DELAY; 5000 */
	uint32_t log_schedule_delay_ms; /* OTEL_BLRP_SCHEDULE_DELAY; 1000 */
	uint32_t export_timeout_ms; /* OTEL_BSP_…, OTEL_BLRP_…, OTEL_METRIC_EXPORT_TIMEOUT; 30000 */
	/* OTEL_BSP_…, OTEL_BLRP_MAX_EXPORT_BATCH_SIZE when set; else the bytes alone limit. */
	uint32_t max_batch_items;
	uint32_t max_batch_bytes; /* SONDE_MAX_BATCH_BYTES; 512 KiB before compression */
	/* OTEL_BSP_… and OTEL_BLRP_MAX_QUEUE_SIZE when set; else the byte budget alone limits. */
	uint32_t max_queue_items;

	uint32_t slow_threshold_ms; /* SONDE_SLOW_THRESHOLD; 1000 */
	enum sonde_exception_signal exception_signal;

	uint32_t breaker_failures; /* SONDE_BREAKER_FAILURES; 5 in a row open the breaker */
	uint32_t breaker_reset_ms; /* SONDE_BREAKER_RESET; 60000 until trials are let through */
	uint32_t breaker_trials; /* SONDE_BREAKER_TRIALS; 3 successes in a row close it */
	uint32_t retry_initial_ms; /* SONDE_RETRY_INITIAL; 1000, then x 1.5 with jitter */
	uint32_t retry_max_ms; /* SONDE_RETRY_MAX; 30000 */

	/* Default: lines on standard error, see SONDE_DIAGNOSTICS. */
	sonde_diagnostic_fn *diagnostic;
	void *diagnostic_user;

	bool disabled; /* OTEL_SDK_DISABLED: start succeeds, nothing records. */
	bool keep_at_exit; /* Do not flush and stop in atexit (with a deadline of 2 s). */

	uint32_t metric_interval_ms; /* OTEL_METRIC_EXPORT_INTERVAL; 60000 */

	enum sonde_sampler sampler; /* OTEL_TRACES_SAMPLER; PARENT_ALWAYS_ON */
	bool no_figures; /* SONDE_FIGURES=off: no calls, errors and durations by site. */
	/* OTEL_TRACES_SAMPLER_ARG; 1.0. Above 0, up to 1; without a sampler: PARENT_RATIO. */
	double sampler_ratio;

	/*
	 * SONDE_WEBHOOK_URL; none. Where errors that were never seen before, or have come back, are
	 * told of by the exporter "webhook" of libsonde-otlp, beside all destinations there are.
	 */
	const char *webhook_url;

	/*
	 * What is not to leave the process, see docs/security.md. SONDE_REDACT: detectors of
	 * secrets in values, "cards,tokens,urls,pairs" unless said otherwise, "email", "all",
	 * "none". SONDE_REDACT_KEYS: globs of keys whose values do not leave, added to those of
	 * passwords and the like; "none" among them takes these away, "!glob" excepts.
	 */
	const char *redact;
	const char *redact_keys;

	/*
	 * How many errors leave: of one fingerprint, and of all together. What is held back is
	 * counted (SONDE_LOSS_LIMITED, and the exact metric sonde.errors), and told in one event
	 * for each fingerprint and interval. Rates are per minute; UINT32_MAX, and 0 in the
	 * environment, is no limit.
	 */
	uint32_t error_burst; /* SONDE_ERROR_BURST; 10 at once, */
	uint32_t error_rate; /* SONDE_ERROR_RATE; then 60 */
	uint32_t error_total_burst; /* SONDE_ERROR_TOTAL_BURST; 200 */
	uint32_t error_total_rate; /* SONDE_ERROR_TOTAL_RATE; 6000 */
	uint32_t error_summary_ms; /* SONDE_ERROR_SUMMARY_INTERVAL; 60000 */
	bool no_error_limit; /* SONDE_ERROR_LIMIT=off: all errors leave. */

	/*
	 * SONDE_STATE_DIRECTORY; sonde in $STATE_DIRECTORY, else in $XDG_STATE_HOME, else
	 * ~/.local/state/sonde. Where it is remembered which errors are known, for the service's
	 * other processes and the next ones; a directory that its user alone may write to, made at
	 * the first error. "none": in memory alone.
	 */
	const char *state_directory;
	/* SONDE_REGRESSION_DAYS; 14. A known error not seen for so long has regressed. */
	uint32_t regression_days;

	/* Called for every item on the background thread, before redaction; none. */
	sonde_before_send_fn *before_send;
	void *before_send_user;

	/*
	 * SONDE_IN_APP: globs for the paths or names of modules that are the application's, besides
	 * the program and what lies outside the system's folders; "!glob" for those that are not.
	 * Comma-separated; the last that fits decides.
	 */
	const char *in_app;
	/*
	 * Of effect where libsonde-symbols is linked: SONDE_DEBUG_PATH, folders with debug files,
	 * "/usr/lib/debug"; SONDE_SYMBOLS_MEMORY_LIMIT for what is read of them, 64 MiB, given back
	 * when no error was named for a minute; SONDE_SYMBOLS=off; SONDE_SOURCE=off: no source
	 * text.
	 */
	const char *debug_path;
	uint64_t symbols_memory_limit_bytes;
	bool no_symbols;
	bool no_source;
	/*
	 * SONDE_SOURCE_LINES, 1 to 15; 5: so many lines of source are shown around a place in the
	 * application, with it in the middle.
	 */
	uint32_t source_lines;

	sonde_fingerprint_fn *fingerprint;
	void *fingerprint_user;

	sonde_before_breadcrumb_fn *before_breadcrumb; /* See <sonde/breadcrumb.h>; none. */
	void *before_breadcrumb_user;
	/*
	 * SONDE_BREADCRUMB_LEVEL, a word as "info" or "off"; off. Messages from this level on leave
	 * a breadcrumb, too.
	 */
	enum sonde_level breadcrumb_level;

	/*
	 * SONDE_AUDIT; none. A file of this user's alone that says, in lines of JSON, what was
	 * sent, see docs/security.md. Up to SONDE_AUDIT_LIMIT, 64 MiB; then it becomes FILE.1.
	 */
	const char *audit_file;
	uint64_t audit_limit_bytes;

	/*
	 * Hears of all that retries, breakers and the rest of the toolkit do, after it was
	 * recorded, while the agent runs; none. See <sonde/resilience.h>. What it does itself is
	 * recorded, but not told to it again. A call that has begun may outlast the agent's stop,
	 * so what `observer_user` points to lives longer.
	 */
	sonde_observer_fn *observer;
	void *observer_user;
};

#define SONDE_OPTIONS_INIT \
	{ \
		sizeof(struct sonde_options), NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, 0, \
			0, 0, 0, 0, 0, 0, SONDE_EXCEPTION_DEFAULT, 0, 0, 0, 0, 0, NULL, NULL, \
			false, false, 0, SONDE_SAMPLER_DEFAULT, false, 0, NULL, NULL, NULL, \
			0, 0, 0, 0, 0, false, NULL, 0, NULL, NULL, NULL, NULL, 0, false, \
			false, 0, NULL, NULL, NULL, NULL, (enum sonde_level)0, NULL, 0, \
			NULL, NULL \
	}

/*
 * Starts the agent; `options` may be NULL. May block for some milliseconds. Fails with
 * SONDE_E_EXISTS while one runs, SONDE_E_INVALID for options of another library's size, and
 * otherwise only where not even a degraded agent is possible. The handle stays valid for the life
 * of the process, in forked children too, where it is the child's agent.
 */
SONDE_API int sonde_agent_start(const struct sonde_options *options, struct sonde_agent **ret);

/*
 * Delivers what was captured before the call. Waits at most `deadline_ms`; makes one attempt even
 * where the breaker is open. SONDE_OK: every destination has accepted or finally refused all of it.
 * SONDE_INCOMPLETE: not within the deadline. SONDE_E_INVALID: in a hook, or whatever else the agent
 * calls on its thread, which cannot wait for itself; nothing is changed.
 */
SONDE_API int sonde_agent_flush(struct sonde_agent *agent, uint32_t deadline_ms);

/*
 * Closes the gate, flushes, and ends the background thread, within `deadline_ms`, whatever the
 * collector does. What could not be delivered is counted. A later start is possible. Idempotent.
 * SONDE_E_INVALID as sonde_agent_flush: the agent goes on.
 */
SONDE_API int sonde_agent_stop(struct sonde_agent *agent, uint32_t deadline_ms);

/*
 * What became of everything captured, for one signal and one destination (0 is the first). Of
 * metrics, the points that were made for the destination count as captured. Exact
 * once producers rest: captured = exported + the sum of lost + queued. While they run, captured is
 * read last, so the right side never exceeds it. After a stop the figures stay readable.
 */
struct sonde_account {
	uint64_t captured;
	uint64_t exported;
	uint64_t queued; /* In the box, in batches, or on the way. */
	uint64_t lost[32]; /* By enum sonde_loss. */
};

SONDE_API int sonde_agent_account(struct sonde_agent *agent, size_t destination,
				  enum sonde_signal signal, struct sonde_account *ret);

/*
 * How often text, keys or limits were mended or cut on the way out. Nothing here is a lost record.
 */
struct sonde_repairs {
	uint64_t invalid_utf8; /* Strings repaired. */
	uint64_t dropped_attributes;
	uint64_t dropped_events;
	uint64_t dropped_links;
	uint64_t cut_values; /* Values past OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT or a record's size. */
};

SONDE_API int sonde_agent_repairs(struct sonde_agent *agent, struct sonde_repairs *ret);

/*
 * Why something was replaced before it left. The number is part of the ABI; new ones are appended.
 */
#define SONDE_REDACTION_MAP(X) \
	X(SONDE_REDACTION_KEY, 0, "key") /* The key that it stood under. */ \
	X(SONDE_REDACTION_CARD, 1, "card") /* A card's number. */ \
	X(SONDE_REDACTION_TOKEN, 2, "token") /* After Bearer or Basic, a web token, a private key. */ \
	X(SONDE_REDACTION_URL, 3, "url") /* A URL's name and password, a signature in its query. */ \
	X(SONDE_REDACTION_PAIR, 4, "pair") /* A secret key's value in running text. */ \
	X(SONDE_REDACTION_EMAIL, 5, "email")

enum sonde_redaction {
#define SONDE__REDACTION(name, number, key) name = number,
	SONDE_REDACTION_MAP(SONDE__REDACTION)
#undef SONDE__REDACTION
};
#define SONDE_REDACTION_COUNT 6

/* How often; once for each place, however many destinations there are. */
struct sonde_redactions {
	uint64_t counts[16]; /* By enum sonde_redaction. */
};

SONDE_API int sonde_agent_redactions(struct sonde_agent *agent, struct sonde_redactions *ret);

SONDE_END_DECLS

#endif
