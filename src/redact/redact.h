/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_REDACT_REDACT_H
#define SONDE_REDACT_REDACT_H

/*
 * What must not leave the process, and what is sent in its place. Two ways to recognise it: by the
 * key that a value stands under, and by what the value itself looks like. The rules are compiled
 * once; texts that hold nothing are passed over by one look at their bytes (redact/suspect.h).
 *
 * For the pipeline's one thread. Any bytes may come; text that was UTF-8 still is afterwards.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/agent.h>

#include "redact/glob.h"

#define SONDE__REDACTED "[redacted]"
/* For the parts of a URL, as OpenTelemetry's url.full has it. */
#define SONDE__REDACTED_URL "REDACTED"

#define SONDE__REDACT_KEYS_KNOWN 1024

enum sonde__key_verdict {
	SONDE__KEY_PLAIN = 0,
	SONDE__KEY_ID, /* Names a trace, span or error: digits are no card number. */
	SONDE__KEY_SECRET,
};

/* By enum sonde_redaction. */
struct sonde__redact_counts {
	uint32_t n[SONDE_REDACTION_COUNT];
};

struct sonde__redactor {
	struct sonde__globs keys;
	uint32_t detectors; /* Bits, 1 << enum sonde_redaction. */
	/*
	 * Set for the texts of a record that capture cut: what their ends may be the beginning of
	 * is redacted, too. Otherwise only what a mark of a cut, "…", stands behind.
	 */
	bool is_cut;
	size_t cut_min; /* A shorter one of these is whole. */
	/* Hashes of keys that are not secret, each at the place its hash says; 0: none. */
	uint64_t known[SONDE__REDACT_KEYS_KNOWN];
};

/*
 * `keys`: globs, separated by commas, added to those that are always there; "none" among them takes
 * those away, "!glob" excepts. `detectors`: names of detectors, "default", "all", "none". NULL:
 * what is always there. SONDE_E_NOMEM. What is not understood is told to `report` (may be NULL),
 * and then everything that is usually redacted is.
 */
typedef void sonde__redact_report(void *user, const char *what, const char *text);
int sonde__redactor_init(struct sonde__redactor *redactor, const char *keys, const char *detectors,
			 sonde__redact_report *report, void *user);
void sonde__redactor_deinit(struct sonde__redactor *redactor);

/*
 * With what is always there. For what leaves on other threads than the pipeline's, and outlives
 * every agent: any thread may read it, signal handlers, too.
 */
extern const struct sonde__redactor sonde__redactor_usual;

/*
 * Of what stands under a key, whatever its value. *ret_tells: the key itself has something in it
 * that is to be redacted. `hash` is the key's (redact/suspect.h), under which one with nothing to
 * redact is remembered.
 */
enum sonde__key_verdict sonde__redact_key_learn(struct sonde__redactor *redactor, const void *key,
						size_t size, uint64_t hash, bool *ret_tells);
enum sonde__key_verdict sonde__redact_key(const struct sonde__redactor *redactor, const void *key,
					  size_t size);

/*
 * How far a text has been looked through in vain, for detectors that look a long way ahead: nobody
 * looks there twice, so that no text takes longer than its length.
 */
struct sonde__looked {
	size_t web_token; /* Up to here no dot follows. */
	size_t password; /* Nor here an '@'. */
};

/* What is found in a text, and what goes in its place. */
struct sonde__match {
	struct sonde__looked looked; /* Of all calls about the text. */
	size_t from;
	size_t to; /* > from */
	struct sonde_text by;
	enum sonde_redaction kind;
};

/*
 * The first match at or after `from`. *ret is zero for a text's first call, and for the others what
 * the last one found.
 */
bool sonde__redact_next(const struct sonde__redactor *redactor, struct sonde_text text,
			enum sonde__key_verdict verdict, size_t from, struct sonde__match *ret);

/* The size of the text once it is redacted; false: there is nothing in it. */
bool sonde__redact_measure(const struct sonde__redactor *redactor, struct sonde_text text,
			   enum sonde__key_verdict verdict, size_t *ret_size);

/* Writes the redacted text, of the size that was measured; returns it. Adds to *counts. */
size_t sonde__redact_write(const struct sonde__redactor *redactor, struct sonde_text text,
			   enum sonde__key_verdict verdict, char *at,
			   struct sonde__redact_counts *counts);

/*
 * Counts what was replaced outside of records: in labels, resources, answers, diagnostics. For all
 * of the process, on any thread and in signal handlers; lock-free.
 */
void sonde__redact_count(const struct sonde__redact_counts *counts);
uint64_t sonde__redact_counted(enum sonde_redaction kind);
/* What begins anew counts anew: an agent, or a forked process. */
void sonde__redact_count_anew(void);

/* Whether a number is one that a card could bear; smaller ones count things. */
#define SONDE__CARD_NUMBER_MIN UINT64_C(100000000000000)
bool sonde__redact_number(const struct sonde__redactor *redactor, int64_t number);

#endif
