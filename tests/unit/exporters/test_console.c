/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console: colour, words from settings, text that no terminal obeys, and readers that are slow
 * or gone.
 */

#include <sonde/exporter.h>

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sonde/span.h>

#define TEXT(literal) ((struct sonde_text){ (literal), sizeof(literal) - 1 })
#define BYTES(literal) ((struct sonde_bytes){ (literal), sizeof(literal) - 1 })

static const char *colour;
static const char *no_colour;
static const char *format;
static char said[512];
static int saved_stdout;
static struct sonde_exporter_host host;

static const char *setting(void *context, const char *name)
{
	(void)context;
	if (!strcmp(name, "SONDE_CONSOLE_COLOR"))
		return colour;
	if (!strcmp(name, "NO_COLOR"))
		return no_colour;
	if (!strcmp(name, "SONDE_CONSOLE_FORMAT"))
		return format;
	return NULL;
}

static void report(void *context, enum sonde_level level, const char *text)
{
	(void)context;
	(void)level;
	snprintf(said, sizeof(said), "%s", text);
}

static const struct sonde_resource resource = { .scope_name = TEXT("sonde") };

/* Standard output is `fd` while the exporter opens; cmocka prints there before and after. */
static void *open_on(int fd)
{
	void *console = NULL;
	int status;

	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	status = sonde_console_exporter.open(&host, &console);
	dup2(saved_stdout, STDOUT_FILENO);
	assert_int_equal(status, SONDE_OK);
	return console;
}

static char *encoded(void *console, const struct sonde_batch *batch)
{
	static char text[16384];
	struct sonde_buffer buffer = { .limit = sizeof(text) - 1 };

	assert_int_equal(sonde_console_exporter.encode(console, batch, &buffer), SONDE_OK);
	memcpy(text, buffer.data, buffer.size);
	text[buffer.size] = '\0';
	free(buffer.data);
	return text;
}

/* A failed span whose strings are as hostile as can be, rendered with these settings. */
static char *rendered(int fd)
{
	static const struct sonde_bytes pieces[] = {
		/* "k\x1b" = "\x1b]0;x\x07", d = NaN, bytes 00 ff */
		BYTES("\x4a\x0e\x0a\x02k\x1b\x12\x08\x0a\x06\x1b]0;x\x07"
		      "\x4a\x0e\x0a\x01" "d" "\x12\x09\x21\x00\x00\x00\x00\x00\x00\xf8\x7f"
		      "\x4a\x09\x0a\x01" "b" "\x12\x04\x3a\x02\x00\xff"),
	};
	struct sonde_span_view span = { .name = TEXT("na\x1b[31mme\n\xe2\x80\xae"),
					.start_unix_ns = 1000000000, .end_unix_ns = 1001500000,
					.status = SONDE_SPAN_ERROR, .status_description = TEXT("why\r\x7f"),
					.kind = SONDE_KIND_SERVER,
					.pieces = pieces,
					.n_pieces = 1 };
	struct sonde_batch batch = { .size = sizeof(batch), .signal = SONDE_SIGNAL_SPAN,
				     .resource = &resource, .spans = &span, .n_items = 1 };
	void *console;
	char *text;

	memset(span.trace_id, 0xaa, 16);
	memset(span.span_id, 0xbb, 8);
	console = open_on(fd);
	text = encoded(console, &batch);
	sonde_console_exporter.close(console, /* forked= */ false);
	return text;
}

static int terminal(void)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);
	char name[64];

	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, sizeof(name)) != 0)
		skip();
	return open(name, O_RDWR | O_NOCTTY);
}

static void colours_by_setting(void **state)
{
	static const struct {
		const char *setting, *no_colour;
		bool on_file, on_terminal, is_reported;
	} cases[] = {
		{ NULL, NULL, false, true, false },	{ "auto", NULL, false, true, false },
		{ "always", NULL, true, true, false },	{ "ALWAYS", "1", true, true, false },
		{ "never", NULL, false, false, false }, { NULL, "1", false, false, false },
		{ "rainbow", NULL, false, true, true },
	};
	int file = open("/dev/null", O_WRONLY);
	int tty = terminal();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		colour = cases[i].setting;
		no_colour = cases[i].no_colour;
		said[0] = '\0';
		assert_int_equal(strchr(rendered(file), '\033') != NULL, cases[i].on_file);
		assert_int_equal(strchr(rendered(tty), '\033') != NULL, cases[i].on_terminal);
		assert_int_equal(strstr(said, "SONDE_CONSOLE_COLOR=rainbow") != NULL, cases[i].is_reported);
	}
	close(file);
	close(tty);
}

/* With colour, every escape is one of ours: to a colour, and back. */
static void no_terminal_obeys_a_name(void **state)
{
	int file = open("/dev/null", O_WRONLY);
	const char *text;

	(void)state;
	text = rendered(file);
	for (const char *c = text; *c; c++)
		assert_true(*c == '\n' || ((unsigned char)*c >= 0x20 && *c != 0x7f));
	assert_non_null(strstr(text, "na\\x1b[31mme\\n\\u202e"));
	assert_non_null(strstr(text, "ERROR why\\r\\x7f"));
	assert_non_null(strstr(text, "k\\x1b"));
	assert_non_null(strstr(text, "\\x1b]0;x\\x07"));
	assert_non_null(strstr(text, "1.5 ms"));
	colour = "always";
	text = rendered(file);
	for (const char *c = strchr(text, '\033'); c; c = strchr(c + 1, '\033'))
		assert_true(c[1] == '[' && strspn(c + 2, "0123456789;") > 0 &&
			    c[2 + strspn(c + 2, "0123456789;")] == 'm');
	assert_null(strstr(text, "\033[31mme"));
	close(file);
}

static void json_by_setting(void **state)
{
	int file = open("/dev/null", O_WRONLY);

	(void)state;
	format = "JSON";
	assert_int_equal(strncmp(rendered(file), "{\"resourceSpans\":", 17), 0);
	format = "xml";
	assert_non_null(strstr(rendered(file), "ERROR"));
	assert_non_null(strstr(said, "SONDE_CONSOLE_FORMAT=xml"));
	close(file);
}

static struct sonde_request request_of(const char *text, size_t size)
{
	return (struct sonde_request){ .size = sizeof(struct sonde_request),
				       .token = (void *)(uintptr_t)text,
				       .signal = SONDE_SIGNAL_SPAN,
				       .body = { text, size },
				       .n_items = 1 };
}

static void expect_sent(void *console, const struct sonde_request *request,
			enum sonde_outcome outcome, struct sonde_result *ret)
{
	assert_int_equal(sonde_console_exporter.send(console, request, ret), outcome);
}

static void a_full_device(void **state)
{
	int full = open("/dev/full", O_WRONLY);
	struct sonde_request request = request_of("line\n", 5);
	struct sonde_result result;
	void *console = open_on(full);

	(void)state;
	expect_sent(console, &request, SONDE_OUTCOME_REFUSED, &result);
	assert_non_null(strstr(result.reason, "No space left"));
	assert_int_equal(fcntl(full, F_GETFL) & O_NONBLOCK, 0);
	sonde_console_exporter.close(console, /* forked= */ false);
	close(full);
}

/* Writes end in the middle; what was given up in a line is ended before the next. */
static void a_reader_that_stopped(void **state)
{
	static char much[300000];
	struct sonde_request first = request_of(much, sizeof(much));
	struct sonde_request second = request_of("second\n", 7);
	struct sonde_result result;
	struct pollfd ready;
	int timeout_ms = -1;
	void *console;
	int ends[2];
	char byte = 0;
	char before = 0;

	(void)state;
	memset(much, 'x', sizeof(much));
	assert_int_equal(pipe(ends), 0);
	console = open_on(ends[1]);
	expect_sent(console, &first, SONDE_OUTCOME_PENDING, &result);
	assert_int_equal(sonde_console_exporter.poll(console, &ready, 1, &timeout_ms), 1);
	assert_int_equal(poll(&ready, 1, 0), 0);
	assert_false(sonde_console_exporter.progress(console, &result));
	expect_sent(console, &second, SONDE_OUTCOME_PENDING, &result);
	sonde_console_exporter.cancel(console, first.token);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	while (read(ends[0], &byte, 1) == 1)
		assert_int_equal(byte, 'x');
	assert_true(sonde_console_exporter.progress(console, &result));
	assert_int_equal(result.outcome, SONDE_OUTCOME_ACCEPTED);
	assert_ptr_equal(result.token, second.token);
	assert_int_equal(read(ends[0], &before, 1), 1);
	assert_int_equal(before, '\n');
	close(ends[0]);
	expect_sent(console, &second, SONDE_OUTCOME_REFUSED, &result);
	assert_non_null(strstr(result.reason, "Broken pipe"));
	sonde_console_exporter.close(console, /* forked= */ false);
	close(ends[1]);
}

static int setup(void **state)
{
	(void)state;
	colour = no_colour = format = NULL;
	said[0] = '\0';
	saved_stdout = dup(STDOUT_FILENO);
	host = (struct sonde_exporter_host){ sizeof(host), NULL, setting, report };
	/* The agent's thread has it blocked. */
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(saved_stdout);
	return 0;
}

/* An error on no span: what the thread did before stands below it, a line each, and only there. */
static void breadcrumbs_are_lines(void **state)
{
	static const struct sonde_bytes pieces[] = {
		BYTES("\x32\x18\x0a\x0e" "exception.type" "\x12\x06\x0a\x04" "late"
		      "\x32\x2a\x0a\x11" "sonde.breadcrumbs" "\x12\x15\x2a\x13"
		      "\x0a\x07\x0a\x05" "first" "\x0a\x08\x0a\x06" "second"),
	};
	struct sonde_log_view log = { .unix_ns = 1000000000, .event_name = TEXT("exception"),
				      .severity = SONDE_ERROR, .pieces = pieces, .n_pieces = 1 };
	struct sonde_batch batch = { .size = sizeof(batch), .signal = SONDE_SIGNAL_LOG,
				     .resource = &resource, .logs = &log, .n_items = 1 };
	void *console = open_on(STDERR_FILENO);
	char *text = encoded(console, &batch);

	(void)state;
	assert_non_null(strstr(text, " ERROR late\n    \xc2\xb7 first\n    \xc2\xb7 second\n"));
	assert_null(strstr(text, "breadcrumbs"));
	sonde_console_exporter.close(console, /* forked= */ false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(colours_by_setting, setup, teardown),
		cmocka_unit_test_setup_teardown(no_terminal_obeys_a_name, setup, teardown),
		cmocka_unit_test_setup_teardown(json_by_setting, setup, teardown),
		cmocka_unit_test_setup_teardown(breadcrumbs_are_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_device, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reader_that_stopped, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
