/* SPDX-License-Identifier: Apache-2.0 */

/* What counts in a fingerprint and what does not, on records made by hand. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/context.h>
#include <sonde/fingerprint.h>

#include "base/clock.h"
#include "base/diagnostic.h"
#include "pipeline/fingerprint.h"
#include "record/attribute.h"
#include "record/check.h"
#include "record/view.h"

#define LINKS 20
#define FRAMES 16

struct link {
	const char *type;
	const char *message;
	const char *file;
	uint32_t line;
	const char *function;
};

struct error {
	struct link links[LINKS];
	size_t n_links;
	uint64_t frames[FRAMES];
	size_t n_frames;
	const char *format;
	const char *group; /* The caller's text. */
};

static struct sonde__fingerprinter fingerprinter;
static sonde_fingerprint_fn *hook;
static uint64_t storage[2048];

static size_t put_text(uint8_t *at, const char *text)
{
	memcpy(at, text ? text : "", text ? strlen(text) : 0);
	return text ? strlen(text) : 0;
}

static uint8_t *put_link(uint8_t *at, const struct link *link)
{
	struct sonde__error_link head = { .line = link->line };
	uint8_t *texts = at + sizeof(head);

	texts += head.type_size = (uint16_t)put_text(texts, link->type);
	texts += head.message_size = (uint16_t)put_text(texts, link->message);
	texts += head.file_size = (uint16_t)put_text(texts, link->file);
	texts += head.function_size = (uint16_t)put_text(texts, link->function);
	memcpy(at, &head, sizeof(head));
	return at + sonde__error_link_size(&head);
}

static const struct sonde__error_record *record_of(const struct error *error)
{
	struct sonde__error_record *record = (void *)storage;
	uint8_t *at = (uint8_t *)(record + 1);

	memset(storage, 0, sizeof(storage));
	for (size_t i = 0; i < error->n_links; i++)
		at = put_link(at, &error->links[i]);
	memcpy(at, error->frames, error->n_frames * sizeof(uint64_t));
	at += error->n_frames * sizeof(uint64_t);
	record->head.type = SONDE__RECORD_ERROR;
	record->format = (uintptr_t)error->format;
	record->n_links = (uint8_t)error->n_links;
	record->n_frames = (uint8_t)error->n_frames;
	if (error->group) {
		struct sonde_attr attrs[] = { sonde_int("order", 7),
					      sonde_str("sonde.error.group", error->group),
					      sonde_str("sonde.error.grouping", "no") };

		for (size_t i = 0; i < 3; i++)
			record->fields_size =
				(uint16_t)(record->fields_size +
					   sonde__attr_encode(SONDE__TAG_LOG_ATTRIBUTE, &attrs[i],
							      at + record->fields_size, 1000));
	}
	record->head.size = (uint32_t)((size_t)(at - (uint8_t *)storage) + record->fields_size);
	assert_true(sonde__record_is_valid(&record->head, record->head.size));
	return record;
}

static uint64_t of(const struct error *error)
{
	const struct sonde__error_record *record = record_of(error);
	uint64_t first = sonde__fingerprint_of(&fingerprinter, record);

	assert_true(first != 0);
	assert_true(sonde__fingerprint_of(&fingerprinter, record) == first);
	sonde__fingerprinter_init(&fingerprinter, hook, /* user= */ NULL);
	assert_true(sonde__fingerprint_of(&fingerprinter, record) == first);
	return first;
}

/* An error without a stack. */
static struct error plain(void)
{
	return (struct error){ .links = { { "payment_declined", "card 7", "src/charge.c", 41,
					    "charge" } },
			       .n_links = 1 };
}

static void test_messages_and_lines_do_not_count(void **state)
{
	struct error a = plain();
	struct error b = plain();

	(void)state;
	b.links[0].message = "a longer message of card 8";
	b.links[0].line = 99;
	b.links[0].file = "../elsewhere/charge.c";
	assert_true(of(&a) == of(&b));
}

static void test_types_and_places_count(void **state)
{
	struct error a = plain();
	struct error b = plain();

	(void)state;
	b.links[0].type = "payment_declined2";
	assert_true(of(&a) != of(&b));
	b = plain();
	b.links[0].function = "refund";
	assert_true(of(&a) != of(&b));
	b = plain();
	b.links[0].file = "src/refund.c";
	assert_true(of(&a) != of(&b));
}

static void test_chain_counts(void **state)
{
	struct error a = plain();
	struct error b = plain();
	struct error c = plain();

	(void)state;
	a.links[1] = (struct link){ "timeout", "m", "net.c", 1, "read" };
	a.n_links = 2;
	b = a;
	b.links[0].type = "other";
	assert_true(of(&a) != of(&b));
	b = a;
	b.links[1].type = "other";
	assert_true(of(&a) != of(&b));
	/* Where a wrapper stands does not matter, where the root does. */
	b = a;
	b.links[0].function = "elsewhere";
	assert_true(of(&a) == of(&b));
	b.links[1].function = "elsewhere";
	assert_true(of(&a) != of(&b));
	/* A loop that wraps. */
	b = a;
	b.links[2] = b.links[1];
	b.links[1] = b.links[0];
	b.n_links = 3;
	assert_true(of(&a) == of(&b));
	assert_true(of(&a) != of(&c));
}

static void test_long_chains(void **state)
{
	static char names[LINKS][8];
	struct error a = { .n_links = LINKS };
	struct error b;

	(void)state;
	for (size_t i = 0; i < LINKS; i++) {
		memcpy(names[i], "type_a", 7);
		names[i][5] = (char)('a' + i);
		a.links[i] = (struct link){ names[i], "m", "f.c", 1, "f" };
	}
	/* The capture leaves out those before the root first. */
	b = a;
	b.n_links = 12;
	b.links[11] = a.links[LINKS - 1];
	assert_true(of(&a) == of(&b));
	b.links[11].type = "other";
	assert_true(of(&a) != of(&b));
	b = a;
	b.links[0].type = "other";
	assert_true(of(&a) != of(&b));
}

/* Two places in one function differ in what they say. */
static void test_formats_count(void **state)
{
	static char variable[] = "card %d is too old";
	char local[] = "card %d is too old";
	struct error a = plain();
	struct error b = plain();

	(void)state;
	a.format = "card %d was declined";
	b.format = "card %d is too old";
	assert_true(of(&a) != of(&b));
	/* The same text anywhere else among the constants. */
	b.format = "x card %d was declined" + 2;
	assert_true(of(&a) == of(&b));
	/* What is no literal may hold anything, so it does not count. */
	a.format = local;
	b.format = NULL;
	assert_true(of(&a) == of(&b));
	a.format = variable;
	assert_true(of(&a) == of(&b));
	a.format = (const char *)(uintptr_t)1;
	assert_true(of(&a) == of(&b));
}

static void test_text_of_the_caller(void **state)
{
	struct error a = plain();
	struct error b = plain();
	uint64_t own = of(&a);

	(void)state;
	a.group = b.group = "database is down";
	b.links[0] = (struct link){ "other", "m", "b.c", 2, "g" };
	assert_true(of(&a) == of(&b));
	assert_true(of(&a) != own);
	b.group = "database is up";
	assert_true(of(&a) != of(&b));
	/* Mixed with what it would have been. */
	a.group = b.group = "{{ default }} of tenant 7";
	assert_true(of(&a) != of(&b));
	assert_true(of(&a) != own);
	b = a;
	b.group = "{{ default }} of tenant 8";
	assert_true(of(&a) != of(&b));
	/* A fingerprint itself. */
	a.group = "00000000deadbeef";
	assert_true(of(&a) == 0xdeadbeef);
	a.group = "00000000DEADBEEF";
	assert_true(of(&a) != 0xdeadbeef);
	a.group = "0000000000000000";
	assert_true(of(&a) != 0);
	a.group = "";
	assert_true(of(&a) == own);
}

/* ---- The hook -------------------------------------------------------------------------------- */

static struct {
	unsigned n_calls;
	const char *answer;
	struct sonde_context context;
	char seen[512];
} asked;

static const char *answer(void *user, const struct sonde_fingerprint_view *error)
{
	const struct sonde_fingerprint_link *root = &error->links[error->n_links - 1];

	(void)user;
	asked.n_calls++;
	asked.context = sonde_context_current();
	snprintf(asked.seen, sizeof(asked.seen), "%zu %.*s:%.*s:%.*s:%u %zu %.*s", error->n_links,
		 (int)root->type.size, root->type.data, (int)root->message.size,
		 root->message.data, (int)root->function.size, root->function.data, root->line,
		 error->n_frames, error->n_frames ? (int)error->frames[0].function.size : 0,
		 error->n_frames ? error->frames[0].function.data : "");
	return asked.answer;
}

static int hook_set(void **state)
{
	(void)state;
	hook = answer;
	memset(&asked, 0, sizeof(asked));
	sonde__fingerprinter_init(&fingerprinter, hook, /* user= */ NULL);
	return 0;
}

static int hook_clear(void **state)
{
	(void)state;
	hook = NULL;
	sonde__fingerprinter_init(&fingerprinter, hook, /* user= */ NULL);
	return 0;
}

static uint64_t ask(const struct error *error)
{
	return sonde__fingerprint_of(&fingerprinter, record_of(error));
}

static void test_hook_decides(void **state)
{
	struct error a = plain();
	uint64_t own;

	hook_clear(state);
	own = of(&a);
	hook_set(state);
	a.frames[0] = (uint64_t)(uintptr_t)&plain + 1;
	a.n_frames = 1;
	hook_clear(state);
	own = ask(&a);
	hook_set(state);
	assert_true(ask(&a) == own);
	assert_string_equal(asked.seen, "1 payment_declined:card 7:charge:41 1 plain");
	assert_int_equal(asked.n_calls, 1);
	hook_set(state);
	asked.answer = "the bank";
	assert_true(ask(&a) == sonde__fingerprint_of_text((struct sonde_text){ "the bank", 8 }, 0));
	/* Asked once for errors alike, and again for another message. */
	assert_true(ask(&a) != own);
	assert_int_equal(asked.n_calls, 1);
	a.links[0].message = "card 8";
	asked.answer = "{{ default }}x";
	assert_true(ask(&a) ==
		    sonde__fingerprint_of_text((struct sonde_text){ "{{ default }}x", 14 }, own));
	assert_int_equal(asked.n_calls, 2);
	/* The raiser's word comes first. */
	a.group = "00000000deadbeef";
	assert_true(ask(&a) == 0xdeadbeef);
	assert_int_equal(asked.n_calls, 2);
}

static void test_hook_is_not_shown_its_own(void **state)
{
	struct error a = plain();
	const struct sonde__error_record *record;
	struct sonde_context context;

	(void)state;
	asked.answer = "once";
	(void)ask(&a);
	assert_int_equal(asked.n_calls, 1);
	a.links[0].message = "from the hook";
	record = record_of(&a);
	memcpy(((struct sonde__error_record *)(void *)storage)->trace_id, asked.context.trace_id,
	       16);
	assert_true(sonde__fingerprint_of(&fingerprinter, record) != 0);
	assert_int_equal(asked.n_calls, 1);
	/* And its context is over. */
	context = sonde_context_current();
	assert_false(sonde_context_is_valid(&context));
}

static void test_hook_sees_long_chains(void **state)
{
	struct error a = { .n_links = LINKS };

	(void)state;
	for (size_t i = 0; i < LINKS; i++)
		a.links[i] = (struct link){ "t", i == LINKS - 1 ? "root" : "m", "f.c", 1, "f" };
	(void)ask(&a);
	assert_string_equal(asked.seen, "16 t:root:f:1 0 ");
}

static unsigned n_said_slow;

static void listen(void *user, enum sonde_level level, const char *text)
{
	(void)user;
	(void)level;
	n_said_slow += strstr(text, "the hook for fingerprints is slow: 1 calls took 10 ms") != NULL;
}

static const char *answer_slowly(void *user, const struct sonde_fingerprint_view *error)
{
	uint64_t from_ns = sonde__monotonic_ns();

	(void)user;
	(void)error;
	while (sonde__monotonic_ns() - from_ns < 11 * SONDE__NS_PER_MS)
		;
	return NULL;
}

static void test_slow_hook_is_told_of(void **state)
{
	struct error a = plain();

	(void)state;
	n_said_slow = 0;
	sonde__diagnostic_set(listen, /* user= */ NULL);
	sonde__fingerprinter_init(&fingerprinter, answer_slowly, /* user= */ NULL);
	(void)ask(&a);
	a.links[0].message = "another";
	(void)ask(&a);
	sonde__diagnostic_set(/* callback= */ NULL, /* user= */ NULL);
	assert_int_equal(n_said_slow, 1);
}

/* More kinds of errors than are remembered: each is right, again and again. */
static void test_more_than_is_remembered(void **state)
{
	static uint64_t expected[2000];
	char function[16];
	struct error a = plain();

	(void)state;
	a.links[0].function = function;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 2000; i++) {
			snprintf(function, sizeof(function), "f%d", i);
			if (round == 0)
				expected[i] = ask(&a);
			assert_true(ask(&a) == expected[i]);
			assert_true(i == 0 || expected[i] != expected[i - 1]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_and_lines_do_not_count),
		cmocka_unit_test(test_types_and_places_count),
		cmocka_unit_test(test_chain_counts),
		cmocka_unit_test(test_long_chains),
		cmocka_unit_test(test_formats_count),
		cmocka_unit_test(test_text_of_the_caller),
		cmocka_unit_test(test_more_than_is_remembered),
		cmocka_unit_test_setup_teardown(test_hook_decides, hook_set, hook_clear),
		cmocka_unit_test_setup_teardown(test_hook_is_not_shown_its_own, hook_set,
						hook_clear),
		cmocka_unit_test_setup_teardown(test_hook_sees_long_chains, hook_set, hook_clear),
		cmocka_unit_test_setup_teardown(test_slow_hook_is_told_of, hook_set, hook_clear),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
