/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk over a text that is suspected. Most bytes begin nothing and are stepped over by a table;
 * at the others the detector that knows them is asked. A match is settled at once and the walk goes
 * on behind it, so that matches never overlap, and what a match has shown nobody else looks at.
 */

#include "redact/redact.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/text.h"
#include "redact/detect.h"
#include "redact/suspect.h"

#define KEYS_DEFAULT(GLOB) \
	GLOB("*password*") GLOB("*passwd*") GLOB("*passphrase*") GLOB("pwd") GLOB("*_pwd") \
	GLOB("*.pwd") GLOB("*secret*") GLOB("*credential*") GLOB("*token") \
	GLOB("*private_key*") GLOB("*privatekey*") GLOB("*api_key*") GLOB("*apikey*") \
	GLOB("*access_key*") GLOB("*accesskey*") GLOB("*signing_key*") GLOB("*encryption_key*") \
	GLOB("authorization") GLOB("*.authorization") GLOB("*_authorization") GLOB("cookie") \
	GLOB("*.cookie") GLOB("*_cookie") GLOB("*csrf*") GLOB("*sessionid") GLOB("jwt") \
	GLOB("*_jwt") GLOB("*card_number*") GLOB("*cardnumber*") GLOB("cvv") GLOB("cvc") \
	GLOB("ssn") GLOB("*_ssn")

#define DETECTORS_ALL \
	(1u << SONDE_REDACTION_CARD | 1u << SONDE_REDACTION_TOKEN | 1u << SONDE_REDACTION_URL | \
	 1u << SONDE_REDACTION_PAIR | 1u << SONDE_REDACTION_EMAIL)
#define DETECTORS_DEFAULT (DETECTORS_ALL & ~(1u << SONDE_REDACTION_EMAIL))

/* ---- Rules ----------------------------------------------------------------------------------- */

static bool text_equals(const char *from, size_t size, const char *word)
{
	return sonde__folded_equal(from, size, word);
}

/* The next member of a list, without blanks; false: no more. */
static bool member_next(const char **rest, struct sonde_text *ret)
{
	const char *from = *rest;
	size_t size;

	if (!from)
		return false;
	size = strcspn(from, ",");
	*rest = from[size] ? from + size + 1 : NULL;
	while (size && (*from == ' ' || *from == '\t')) {
		from++;
		size--;
	}
	while (size && (from[size - 1] == ' ' || from[size - 1] == '\t'))
		size--;
	*ret = (struct sonde_text){ from, size };
	return true;
}

static bool detectors_add(struct sonde_text name, uint32_t *detectors)
{
	static const struct {
		const char *name;
		uint32_t bits;
	} names[] = {
		{ "", 0 },
		{ "none", 0 },
		{ "default", DETECTORS_DEFAULT },
		{ "all", DETECTORS_ALL },
		{ "cards", 1u << SONDE_REDACTION_CARD },
		{ "tokens", 1u << SONDE_REDACTION_TOKEN },
		{ "urls", 1u << SONDE_REDACTION_URL },
		{ "pairs", 1u << SONDE_REDACTION_PAIR },
		{ "email", 1u << SONDE_REDACTION_EMAIL },
	};

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(names); i++) {
		if (text_equals(name.data, name.size, names[i].name)) {
			*detectors |= names[i].bits;
			return true;
		}
	}
	return false;
}

static uint32_t detectors_read(const char *text, sonde__redact_report *report, void *user)
{
	uint32_t detectors = 0;
	bool is_wrong = false;
	struct sonde_text name;

	if (!text || !text[0])
		return DETECTORS_DEFAULT;
	for (const char *rest = text; member_next(&rest, &name);)
		is_wrong |= !detectors_add(name, &detectors);
	if (!is_wrong)
		return detectors;
	if (report)
		report(user, "detectors", text);
	return detectors | DETECTORS_DEFAULT;
}

static bool keys_replace_default(const char *text)
{
	struct sonde_text member;

	while (member_next(&text, &member)) {
		if (text_equals(member.data, member.size, "none"))
			return true;
	}
	return false;
}

static int keys_init(struct sonde__globs *globs, const char *keys)
{
#define MEMBER(glob) glob ","
	static const char defaults[] = KEYS_DEFAULT(MEMBER);
#undef MEMBER
	char *list;
	int status;

	if (keys && keys_replace_default(keys))
		return sonde__globs_init(globs, keys);
	list = malloc(sizeof(defaults) + (keys ? strlen(keys) : 0));
	if (!list)
		return SONDE_E_NOMEM;
	memcpy(list, defaults, sizeof(defaults));
	if (keys)
		memcpy(list + sizeof(defaults) - 1, keys, strlen(keys) + 1);
	status = sonde__globs_init(globs, list);
	free(list);
	return status;
}

int sonde__redactor_init(struct sonde__redactor *redactor, const char *keys, const char *detectors,
			 sonde__redact_report *report, void *user)
{
	memset(redactor, 0, sizeof(*redactor));
	redactor->detectors = detectors_read(detectors, report, user);
	return keys_init(&redactor->keys, keys);
}

void sonde__redactor_deinit(struct sonde__redactor *redactor)
{
	sonde__globs_deinit(&redactor->keys);
	redactor->detectors = 0;
}

#define COMPILED(glob) { glob, sizeof(glob) - 1, false },
static const struct sonde__glob globs_usual[] = { KEYS_DEFAULT(COMPILED) };
#undef COMPILED

const struct sonde__redactor sonde__redactor_usual = {
	.keys = { .globs = globs_usual, .n = SONDE__ARRAY_SIZE(globs_usual) },
	.detectors = DETECTORS_DEFAULT,
};

/* ---- Keys ------------------------------------------------------------------------------------ */

/* Of keys under which ids stand that a card number could be taken for. */
static bool is_id(const uint8_t *key, size_t size)
{
	static const char *const ids[] = { "trace_id", "span_id", "error.id", "error.fingerprint",
					   "link.trace_id", "link.span_id" };

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(ids); i++) {
		size_t n = strlen(ids[i]);

		if (size >= n && sonde__folded_equal(key + size - n, n, ids[i]))
			return true;
	}
	return false;
}

enum sonde__key_verdict sonde__redact_key(const struct sonde__redactor *redactor, const void *key,
					  size_t size)
{
	if (sonde__globs_match(&redactor->keys, key, size))
		return SONDE__KEY_SECRET;
	return is_id(key, size) ? SONDE__KEY_ID : SONDE__KEY_PLAIN;
}

enum sonde__key_verdict sonde__redact_key_learn(struct sonde__redactor *redactor, const void *key,
						size_t size, uint64_t hash, bool *ret_tells)
{
	enum sonde__key_verdict verdict = sonde__redact_key(redactor, key, size);
	const struct sonde_text text = { key, size };
	size_t redacted;

	*ret_tells = sonde__redact_measure(redactor, text, SONDE__KEY_PLAIN, &redacted);
	if (verdict == SONDE__KEY_PLAIN && !*ret_tells)
		redactor->known[hash >> 54] = hash | 1;
	return verdict;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

enum beginning { NOTHING = 0, DIGIT, BLANK, CAPITAL_J, DASH, EQUALS, COLON, AT };

static const uint8_t beginnings[256] = {
	['0'] = DIGIT, ['1'] = DIGIT, ['2'] = DIGIT,  ['3'] = DIGIT,  ['4'] = DIGIT,
	['5'] = DIGIT, ['6'] = DIGIT, ['7'] = DIGIT,  ['8'] = DIGIT,  ['9'] = DIGIT,
	[' '] = BLANK, ['J'] = CAPITAL_J, ['-'] = DASH,  ['='] = EQUALS, [':'] = COLON,
	['@'] = AT,
};

/* Moves *at on where it says more than the next byte. */
static bool ask(const struct sonde__search *search, enum sonde__key_verdict verdict, size_t *at,
		struct sonde__match *ret)
{
	const uint32_t detectors = search->redactor->detectors;
	size_t next = *at + 1;
	bool is_found = false;

	switch (beginnings[search->text[*at]]) {
	case DIGIT:
		/* The rest of the group is looked at with its first digit. */
		if (detectors >> SONDE_REDACTION_CARD & 1 && verdict != SONDE__KEY_ID)
			is_found = sonde__card_find(search, *at, ret, &next);
		break;
	case BLANK:
		if (detectors >> SONDE_REDACTION_TOKEN & 1)
			is_found = sonde__token_find(search, *at, ret);
		break;
	case CAPITAL_J:
		if (detectors >> SONDE_REDACTION_TOKEN & 1)
			is_found = sonde__web_token_find(search, *at, ret);
		break;
	case DASH:
		if (detectors >> SONDE_REDACTION_TOKEN & 1)
			is_found = sonde__key_block_find(search, *at, ret);
		break;
	case EQUALS:
		is_found = (detectors >> SONDE_REDACTION_URL & 1 &&
			    sonde__query_find(search, *at, ret)) ||
			   (detectors >> SONDE_REDACTION_PAIR & 1 &&
			    sonde__pair_find(search, *at, ret));
		break;
	case COLON:
		is_found = (detectors >> SONDE_REDACTION_URL & 1 &&
			    sonde__url_find(search, *at, ret)) ||
			   (detectors >> SONDE_REDACTION_PAIR & 1 &&
			    sonde__pair_find(search, *at, ret));
		break;
	case AT:
		is_found = detectors >> SONDE_REDACTION_EMAIL & 1 &&
			   sonde__email_find(search, *at, ret);
		break;
	default:
		break;
	}
	*at = next;
	return is_found;
}

bool sonde__redact_next(const struct sonde__redactor *redactor, struct sonde_text text,
			enum sonde__key_verdict verdict, size_t from, struct sonde__match *ret)
{
	struct sonde__looked looked = ret->looked;
	const struct sonde__search search = { redactor, (const uint8_t *)text.data, text.size,
					      from, &looked };
	struct sonde__match match = { 0 };
	size_t at = from;

	while (at < text.size) {
		if (beginnings[search.text[at]] == NOTHING) {
			at++;
			continue;
		}
		if (!ask(&search, verdict, &at, &match))
			continue;
		if (!match.by.size)
			match.by = (struct sonde_text){ SONDE__REDACTED,
							sizeof(SONDE__REDACTED) - 1 };
		match.looked = looked;
		*ret = match;
		return true;
	}
	return false;
}

bool sonde__redact_measure(const struct sonde__redactor *redactor, struct sonde_text text,
			   enum sonde__key_verdict verdict, size_t *ret_size)
{
	struct sonde__match match = { 0 };
	size_t size = text.size;
	bool is_found = false;

	if (!redactor || !redactor->detectors ||
	    (!redactor->is_cut && !sonde__suspect(text.data, text.size)))
		return false;
	while (sonde__redact_next(redactor, text, verdict, match.to, &match)) {
		size = size - (match.to - match.from) + match.by.size;
		is_found = true;
	}
	*ret_size = size;
	return is_found;
}

size_t sonde__redact_write(const struct sonde__redactor *redactor, struct sonde_text text,
			   enum sonde__key_verdict verdict, char *at,
			   struct sonde__redact_counts *counts)
{
	struct sonde__match match = { 0 };
	char *begin = at;
	size_t done = 0;

	while (sonde__redact_next(redactor, text, verdict, done, &match)) {
		memcpy(at, text.data + done, match.from - done);
		at += match.from - done;
		memcpy(at, match.by.data, match.by.size);
		at += match.by.size;
		done = match.to;
		counts->n[match.kind]++;
	}
	memcpy(at, text.data + done, text.size - done);
	return (size_t)(at - begin) + text.size - done;
}
