/* SPDX-License-Identifier: Apache-2.0 */
/* Sites: the same id for the same content, for the life of the process, in every box. */

#include "box/site.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../support/child.h"
#include "base/process.h"

#define N_THREADS 4
#define N_SITES 300

static void open_box(void)
{
	struct sonde__box_options options = { .size_bytes = 1 << 20, .service_name = "unit-site" };
	struct sonde__box_info info;

	CHECK(sonde__box_open(&options, &info) == SONDE_OK);
}

static bool view_is(uint32_t id, const struct sonde_site *site)
{
	struct sonde__site_view view;

	return sonde__site_get(id, &view) && view.line == site->line &&
	       view.name.size == strlen(site->name) &&
	       memcmp(view.name.data, site->name, view.name.size) == 0 &&
	       view.file.size == strlen(site->file) &&
	       memcmp(view.file.data, site->file, view.file.size) == 0 &&
	       view.function.size == strlen(site->function) &&
	       memcmp(view.function.data, site->function, view.function.size) == 0;
}

/* What another process would read: out of the box alone. */
static bool box_has(uint32_t id, const char *name)
{
	const struct sonde__box *box = sonde__box_get();
	uint32_t value = atomic_load_explicit(&box->site_ids[id - 1], memory_order_acquire);
	const struct sonde__site_text *text =
		(const struct sonde__site_text *)(box->site_texts + (size_t)value * 8);

	return value && text->name_size == strlen(name) &&
	       memcmp(text + 1, name, text->name_size) == 0;
}

static void equal_content_has_one_id(void)
{
	char *name = strdup("lookup");
	struct sonde_site a = { "lookup", "a.c", "f", 7, 0 };
	struct sonde_site b = { name, "a.c", "f", 7, 0 };
	struct sonde_site c = { "lookup", "a.c", "f", 8, 0 };
	struct sonde_site d = { "look", "upa.c", "f", 7, 0 };
	struct sonde_site nothing = { 0 };
	struct sonde__site_view view;
	uint32_t id;

	open_box();
	id = sonde__site_id(&b);
	/* The plugin that the site stood in is gone; the table has its own copy. */
	memset(name, 'x', 6);
	free(name);
	CHECK(id != 0 && sonde__site_id(&a) == id && a.id == id && sonde__site_id(&a) == id);
	CHECK(sonde__site_id(&c) != id && sonde__site_id(&d) != id &&
	      sonde__site_id(&c) != sonde__site_id(&d));
	CHECK(view_is(id, &a) && view_is(c.id, &c) && view_is(d.id, &d));
	CHECK(sonde__site_id(&nothing) != 0 && sonde__site_get(nothing.id, &view) &&
	      view.name.size == 0);
	CHECK(!sonde__site_get(0, &view) && !sonde__site_get(UINT32_MAX, &view) &&
	      !sonde__site_get(1025, &view));
	CHECK(box_has(id, "lookup"));
	sonde__box_close();
}

static void ids_survive_a_change_of_box(void)
{
	struct sonde_site before = { "before", "a.c", "f", 1, 0 };
	struct sonde_site after = { "after", "a.c", "f", 2, 0 };
	uint32_t id = sonde__site_id(&before);
	pid_t pid;

	open_box();
	CHECK(box_has(id, "before"));
	sonde__box_close();
	open_box();
	CHECK(box_has(id, "before") && sonde__site_id(&before) == id);
	pid = fork();
	if (pid == 0) {
		struct sonde__box_info info;

		CHECK(sonde__box_open(/* options= */ NULL, &info) == SONDE_OK);
		sonde__process_adopt();
		CHECK(box_has(id, "before") && sonde__site_id(&before) == id);
		CHECK(box_has(sonde__site_id(&after), "after"));
		sonde__box_close();
		_exit(CHILD_OK);
	}
	CHECK(child_wait(pid) == CHILD_OK);
	/* What the child added is not the parent's. */
	CHECK(!box_has(id % SONDE__SITES_MAX + 1, "after"));
	sonde__box_close();
}

static void the_table_is_bounded(void)
{
	char name[600];
	struct sonde_site site = { name, "file.c", "function", 1, 0 };
	uint32_t n = 0;

	open_box();
	memset(name, 'n', sizeof(name));
	memcpy(name + 590, "\xc3\xa4", 3);
	CHECK(sonde__site_id(&site) != 0);
	for (uint32_t i = 0; i < 5000; i++) {
		struct sonde_site one = { name, "file.c", "function", i, 0 };

		snprintf(name, sizeof(name), "site %u", i);
		n += sonde__site_id(&one) != 0;
		CHECK(i < 5 || sonde__site_id(&one) == (one.id == UINT32_MAX ? 0 : one.id));
	}
	CHECK(n >= 900 && n <= SONDE__SITES_MAX);
	/* Full for new ones; the old ones are still found. */
	snprintf(name, sizeof(name), "site %u", 3);
	site = (struct sonde_site){ name, "file.c", "function", 3, 0 };
	CHECK(sonde__site_id(&site) != 0);
	sonde__box_close();
}

static uint32_t ids[N_THREADS][N_SITES];

static void *add_all(void *argument)
{
	uint32_t *mine = argument;

	for (uint32_t i = 0; i < N_SITES; i++) {
		char name[32];
		struct sonde_site site = { name, "threads.c", "add_all", i, 0 };

		snprintf(name, sizeof(name), "thread site %u", i);
		mine[i] = sonde__site_id(&site);
	}
	return NULL;
}

static void threads_agree(void)
{
	pthread_t threads[N_THREADS];

	open_box();
	for (int i = 0; i < N_THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, add_all, ids[i]) == 0);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t i = 0; i < N_SITES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "thread site %u", i);
		CHECK(ids[0][i] != 0 && box_has(ids[0][i], name));
		for (int t = 1; t < N_THREADS; t++)
			CHECK(ids[t][i] == ids[0][i]);
	}
	sonde__box_close();
}

static void in_child(void **state)
{
	assert_int_equal(child_run(*(void (**)(void))state), CHILD_OK);
}

#define CHILD_TEST(name) { #name, in_child, NULL, NULL, (void *)(uintptr_t)name }

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHILD_TEST(equal_content_has_one_id),
		CHILD_TEST(ids_survive_a_change_of_box),
		CHILD_TEST(the_table_is_bounded),
		CHILD_TEST(threads_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
