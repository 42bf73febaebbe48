/* SPDX-License-Identifier: Apache-2.0 */
#include "operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sonde/sonde.h>

#define STACK_TEXT_SIZE 1024
#define ERROR_FRAMES 10
#define ERRORS_MAX 1024 /* Their stacks are named one by one behind the box, which takes time. */

static _Thread_local struct sonde_span parent;
static _Thread_local struct sonde_timed *scopes;
static char stack_text[STACK_TEXT_SIZE];

static void parent_begin(size_t n)
{
	(void)n;
	sonde_span_begin(&parent, "parent", /* options= */ NULL);
}

static void parent_end(void)
{
	sonde_span_end(&parent);
}

static void root_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SONDE_SPAN(span, "root", .root = true);
	}
}

static void child_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SONDE_SPAN(span, "child");
	}
}

static void typical_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SONDE_SPAN(span, "typical");
		sonde_span_set_int(span, "order.items", (int64_t)i);
		sonde_span_set_str(span, "order.currency", "EUR");
		sonde_span_set_double(span, "order.total", 12.5);
		sonde_span_add_event(span, "order placed", SONDE_NO_ATTRS);
	}
}

static void exception_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SONDE_SPAN(span, "failing");
		SONDE_ERROR_AUTOFREE struct sonde_error *error =
			sonde_error_raise(&sonde_not_found, "the order is not there");

		sonde_error_capture(error);
	}
}

static void exception_text_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SONDE_SPAN(span, "failing");
		sonde_span_add_event(
			span, "exception",
			SONDE_ATTRS(sonde_str("exception.type", "not_found"),
				    sonde_str("exception.message", "the order is not there"),
				    sonde_strn("exception.stacktrace", stack_text,
					       sizeof(stack_text))));
		sonde_span_set_status(span, SONDE_SPAN_ERROR, "the order is not there");
	}
}

static void stack_text_make(size_t n)
{
	memset(stack_text, 'x', sizeof(stack_text));
	parent_begin(n);
}

static void log_run(size_t n)
{
	for (size_t i = 0; i < n; i++)
		sonde_log(SONDE_INFO, "order placed",
			  SONDE_ATTRS(sonde_int("order.items", (int64_t)i),
				      sonde_str("order.currency", "EUR"),
				      sonde_double("order.total", 12.5)));
}

static void message_run(size_t n)
{
	for (size_t i = 0; i < n; i++)
		sonde_message(SONDE_INFO, "%d orders wait", (int)i);
}

static void error_raise_run(size_t n)
{
	for (size_t i = 0; i < n; i++)
		sonde_error_free(sonde_error_raise(&sonde_not_found, "the order is not there"));
}

/* As deep in a service as errors come about: a frame for each step. */
static __attribute__((noinline)) int capture_deep(int n_frames, int64_t row)
{
	struct sonde_error *error;

	if (n_frames > 1)
		return capture_deep(n_frames - 1, row) + 1;
	error = sonde_error_raise(&sonde_not_found, "the order is not there");
	sonde_error_set(error, sonde_int("order.row", row));
	sonde_error_set(error, sonde_str("order.currency", "EUR"));
	sonde_error_set(error, sonde_double("order.total", 12.5));
	sonde_error_capture(error);
	sonde_error_free(error);
	return 1;
}

static volatile int frames_made; /* So that no frame is optimised away. */

static void error_capture_run(size_t n)
{
	for (size_t i = 0; i < n; i++)
		frames_made = capture_deep(ERROR_FRAMES, (int64_t)i);
}

/* What a request says about itself, in its scope. */
static void tag_run(size_t n)
{
	for (size_t i = 0; i < n; i += 4) {
		SONDE_SCOPE();
		sonde_context_set_str("request.id", "0f8fad5b-d9cb-469f-a165-70867728950e");
		sonde_context_set_str("user.id", "4711");
		sonde_context_set_str("tenant", "acme");
		sonde_context_set_int("attempt", (int64_t)i);
	}
}

static void breadcrumb_run(size_t n)
{
	for (size_t i = 0; i < n; i++)
		sonde_breadcrumb(SONDE_INFO, "cart", "an item was added to the cart");
}

static void breadcrumb_format_run(size_t n)
{
	for (size_t i = 0; i < n; i++)
		sonde_breadcrumb(SONDE_INFO, "cart", "%d items in the cart", (int)i);
}

static void timed_fast_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SONDE_TIMED("fast");
	}
}

/* The scopes that a run ends were begun long before; it begins those that the next run ends. */
static void scopes_begin(struct sonde_timed *scope)
{
	static const struct sonde_timed_options options = { .size = sizeof(options), .slow_ms = 1 };
	static struct sonde_site site = SONDE_SITE_INIT("slow");

	sonde_timed_begin(scope, &site, &options);
}

static void scopes_make(size_t n)
{
	scopes = calloc(n, sizeof(*scopes));
	for (size_t i = 0; i < n; i++)
		scopes_begin(&scopes[i]);
}

static void scopes_wait(size_t n)
{
	const struct timespec pause = { .tv_nsec = 2 * 1000 * 1000 };

	(void)n;
	nanosleep(&pause, NULL);
}

static void timed_slow_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sonde_timed_end(&scopes[i]);
		scopes_begin(&scopes[i]);
	}
}

static void scopes_free(void)
{
	free(scopes);
	scopes = NULL;
}

const struct operation operations[] = {
	{ .name = "root", .run = root_run, .bytes = 128 },
	{ .name = "child",
	  .run = child_run,
	  .enter = parent_begin,
	  .leave = parent_end,
	  .bytes = 128 },
	{ .name = "typical",
	  .run = typical_run,
	  .enter = parent_begin,
	  .leave = parent_end,
	  .bytes = 256 },
	{ .name = "exception",
	  .run = exception_run,
	  .enter = parent_begin,
	  .leave = parent_end,
	  .burst_max = ERRORS_MAX,
	  .bytes = 768 },
	{ .name = "exception_text",
	  .run = exception_text_run,
	  .is_variant = true,
	  .enter = stack_text_make,
	  .leave = parent_end,
	  .bytes = 1536 },
	{ .name = "log", .run = log_run, .bytes = 256 },
	{ .name = "message", .run = message_run, .is_variant = true, .bytes = 256 },
	{ .name = "error_raise", .run = error_raise_run, .is_variant = true, .bytes = 512 },
	{ .name = "error_capture", .run = error_capture_run, .burst_max = ERRORS_MAX, .bytes = 512 },
	{ .name = "tag", .run = tag_run, .bytes = 128 },
	{ .name = "breadcrumb", .run = breadcrumb_run, .bytes = 128 },
	{ .name = "breadcrumb_format",
	  .run = breadcrumb_format_run,
	  .is_variant = true,
	  .bytes = 128 },
	{ .name = "timed_fast", .run = timed_fast_run, .bytes = 128 },
	{ .name = "timed_slow",
	  .run = timed_slow_run,
	  .enter = scopes_make,
	  .leave = scopes_free,
	  .prepare = scopes_wait,
	  .bytes = 384 },
};

const size_t n_operations = sizeof(operations) / sizeof(operations[0]);

const struct operation *operation_find(const char *name)
{
	for (size_t i = 0; i < n_operations; i++)
		if (strcmp(operations[i].name, name) == 0)
			return &operations[i];
	fprintf(stderr, "no operation is called %s\n", name);
	exit(1);
}
