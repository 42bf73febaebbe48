/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Raising, wrapping, freeing: whose the objects are, what they hold, what happens without memory.
 */

#include "support.h"

#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* The pool is whole again: nothing leaked out of it, nothing is in it twice. */
static void expect_pool_is_whole(void)
{
	struct sonde_error *errors[SONDE__ERROR_POOL_SIZE];

	allocator_calls = 0;
	for (size_t i = 0; i < SONDE__ERROR_POOL_SIZE; i++)
		errors[i] = sonde_error_raise(&sonde_internal, "%zu", i);
	CHECK(allocator_calls == 0);
	for (size_t i = 0; i < SONDE__ERROR_POOL_SIZE; i++) {
		char number[24];

		snprintf(number, sizeof(number), "%zu", i);
		CHECK(strcmp(sonde_error_message(errors[i]), number) == 0);
		sonde_error_free(errors[i]);
	}
}

static void test_what_it_holds(void **state)
{
	struct sonde_error *error;
	const uint64_t *frames;
	int line;

	(void)state;
	errno = ENOENT;
	line = __LINE__ + 1;
	error = sonde_error_raise(&sonde_not_found, "order %d is not there: %m", 7);
	assert_int_equal(errno, ENOENT);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_not_found);
	assert_string_equal(sonde_error_message(error),
			    "order 7 is not there: No such file or directory");
	assert_non_null(strstr(sonde_error_file(error), "test_object.c"));
	assert_int_equal(sonde_error_line(error), line);
	assert_string_equal(sonde_error_function(error), "test_what_it_holds");
	assert_int_equal(sonde_error_errno(error), ENOENT);
	assert_null(sonde_error_cause(error));
	assert_string_equal(sonde__error_type_name(error), "sonde_not_found");
	assert_int_equal(sonde_error_http_status(error), 404);
	assert_int_equal(sonde__error_severity(error), SONDE_WARN);
	/* Elsewhere stacks are not walked, and the first frame alone is known. */
#if defined(__x86_64__)
	assert_in_range(sonde__error_frames(error, &frames), 2, SONDE_ERROR_FRAMES);
#else
	assert_in_range(sonde__error_frames(error, &frames), 1, SONDE_ERROR_FRAMES);
#endif
	assert_in_range(frames[0], (uint64_t)(uintptr_t)&test_what_it_holds,
			(uint64_t)(uintptr_t)&test_what_it_holds + 4096);
	assert_null(sonde_error_free(error));
}

static void test_null_is_accepted(void **state)
{
	uint64_t id = 5;
	const uint64_t *frames;
	struct sonde_error *none = NULL;

	(void)state;
	assert_null(sonde_error_free(NULL));
	sonde__error_cleanup(&none);
	assert_null(sonde_error_type_of(NULL));
	assert_false(sonde_error_is(NULL, &sonde_error_base));
	assert_string_equal(sonde_error_message(NULL), "");
	assert_null(sonde_error_cause(NULL));
	assert_string_equal(sonde_error_file(NULL), "");
	assert_int_equal(sonde_error_line(NULL), 0);
	assert_string_equal(sonde_error_function(NULL), "");
	assert_int_equal(sonde_error_errno(NULL), 0);
	assert_null(sonde_error_find(NULL, &sonde_error_base));
	assert_null(sonde__error_root(NULL));
	assert_int_equal(sonde__error_chain_length(NULL), 0);
	assert_int_equal(sonde__error_n_omitted(NULL), 0);
	assert_int_equal(sonde__error_frames(NULL, &frames), 0);
	assert_string_equal(sonde__error_type_name(NULL), "");
	assert_int_equal(sonde_error_http_status(NULL), 0);
	assert_false(sonde__error_mark_captured(NULL, 1, &id));
	assert_int_equal(id, 5);
	none = sonde_error_raise_at(NULL, NULL, NULL, 0, NULL, NULL);
	assert_string_equal(sonde__error_type_name(none), "sonde_error_base");
	assert_string_equal(sonde_error_message(none), "");
	assert_string_equal(sonde_error_file(none), "");
	sonde_error_free(none);
}

static void test_chain(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_timeout, "root");
	const struct sonde_error *root = error;

	(void)state;
	error = sonde_error_wrap(error, &sonde_external_service, "middle: %s",
				 sonde_error_message(error));
	error = sonde_error_wrap(error, &sonde_validation, "top");
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "middle: root");
	assert_ptr_equal(sonde_error_cause(sonde_error_cause(error)), root);
	assert_ptr_equal(sonde__error_root(error), root);
	assert_int_equal(sonde__error_chain_length(error), 3);
	assert_ptr_equal(sonde_error_find(error, &sonde_bad_request), error);
	assert_ptr_equal(sonde_error_find(error, &sonde_timeout), root);
	assert_ptr_equal(sonde_error_find(error, &sonde_error_base), error);
	assert_null(sonde_error_find(error, &sonde_conflict));
	assert_true(sonde_error_is(error, &sonde_bad_request));
	assert_true(sonde_error_is(error, NULL));
	assert_false(sonde_error_is(error, &sonde_timeout));
}

/* Every length around the limit, with characters of every size at the edge. */
static void test_messages_are_cut_at_a_character(void **state)
{
	static const char *const characters[] = { "x", "ä", "€", "𝄞" };

	(void)state;
	for (size_t c = 0; c < 4; c++) {
		for (int lead = 230; lead < 262; lead++) {
			char text[400];
			SONDE_ERROR_AUTOFREE struct sonde_error *error = NULL;
			const char *message;
			size_t length;

			memset(text, '.', (size_t)lead);
			text[lead] = '\0';
			for (int i = 0; i < 12; i++)
				memcpy(text + strlen(text), characters[c],
				       strlen(characters[c]) + 1);
			error = sonde_error_raise(&sonde_internal, "%s", text);
			message = sonde_error_message(error);
			length = strlen(message);
			assert_true(sonde__utf8_is_valid(message, length));
			if (strlen(text) < SONDE_ERROR_MESSAGE_SIZE) {
				assert_string_equal(message, text);
				continue;
			}
			assert_in_range(length, SONDE_ERROR_MESSAGE_SIZE - 5,
					SONDE_ERROR_MESSAGE_SIZE - 1);
			assert_string_equal(message + length - 3, "…");
			assert_memory_equal(message, text, length - 3);
		}
	}
}

static void test_long_places(void **state)
{
	char path[1000];
	char function[500];
	SONDE_ERROR_AUTOFREE struct sonde_error *error = NULL;

	(void)state;
	memset(path, 'p', sizeof(path));
	memcpy(path + sizeof(path) - 10, "/the/end.c", 10);
	path[sizeof(path) - 1] = '\0';
	memset(function, 'f', sizeof(function));
	function[sizeof(function) - 1] = '\0';
	error = sonde_error_raise_at(&sonde_internal, NULL, path, 1, function, "m");
	assert_int_equal(strlen(sonde_error_file(error)), ERROR_FILE_SIZE - 1);
	assert_memory_equal(sonde_error_file(error), "…ppp", 6);
	assert_non_null(strstr(sonde_error_file(error), "p/the/end."));
	assert_int_equal(strlen(sonde_error_function(error)), ERROR_FUNCTION_SIZE - 1);
	assert_string_equal(sonde_error_function(error) + ERROR_FUNCTION_SIZE - 4, "…");
}

/* A megabyte, whole or by a format, and bytes that are no text: cut, marked, and printed. */
static void test_messages_of_any_size_and_bytes(void **state)
{
	const size_t size = 1 << 20;
	char *text = malloc(size + 1);
	char line[1000];

	(void)state;
	for (int byte = 1; byte < 256; byte += 2) {
		struct sonde_error *error;

		memset(text, byte, size);
		text[size] = '\0';
		error = sonde_error_raise(&sonde_internal, "%s", text);
		sonde_error_set_detail(error, "%s", text);
		sonde_error_set(error, sonde_str("a", "b"));
		assert_in_range(strlen(sonde_error_message(error)), SONDE_ERROR_MESSAGE_SIZE - 5,
				SONDE_ERROR_MESSAGE_SIZE - 1);
		assert_non_null(strstr(sonde_error_message(error), "…"));
		assert_non_null(strstr(sonde_error_detail(error), "…"));
		assert_true(sonde_error_format_chain(error, line, sizeof(line)) > 500);
		sonde_error_free(error);
	}
	memset(text, 'x', size);
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise_at(&sonde_internal, NULL, text, 1, text, "%s", text);
	assert_int_equal(strlen(sonde_error_message(error)), SONDE_ERROR_MESSAGE_SIZE - 1);
	free(text);
}

static void test_a_context_is_of_its_causes_type(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_not_found, "no row");

	(void)state;
	error = sonde_error_wrap(error, /* type= */ NULL, "order %d", 7);
	assert_string_equal(sonde_error_message(error), "order 7");
	assert_string_equal(sonde_error_function(error), __func__);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_not_found);
	assert_true(sonde_error_is(error, &sonde_not_found));
	assert_string_equal(sonde__error_type_name(error), "sonde_not_found");
	assert_string_equal(sonde_error_code(error), "NOT_FOUND");
	assert_int_equal(sonde_error_http_status(error), 404);
	assert_true(sonde__error_has_public_message(error));
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "no row");
}

static struct sonde_error *stolen(void)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_timeout, "mine");

	return sonde_error_steal(&error);
}

static void test_steal(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = stolen();

	(void)state;
	assert_string_equal(sonde_error_message(error), "mine");
	assert_null(sonde_error_joined(error, 0));
}

static void test_stacks_by_type(void **state)
{
	SONDE_ERROR_TYPE(quiet, sonde_not_found, "QUIET", .stack = SONDE_NO);
	SONDE_ERROR_TYPE(quieter, quiet, "QUIETER");
	SONDE_ERROR_TYPE(loud, quieter, "LOUD", .stack = SONDE_YES);
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&quieter, "x");
	const uint64_t *frames;
	size_t n;

	(void)state;
	assert_int_equal(sonde__error_frames(error, &frames), 0);
	sonde_error_add_stack(error);
	n = sonde__error_frames(error, &frames);
	assert_true(n > 0);
	sonde_error_add_stack(error);
	assert_int_equal(sonde__error_frames(error, &frames), n);
	sonde_error_add_stack(NULL);
	sonde_error_free(error);
	error = sonde_error_raise(&loud, "x");
	assert_true(sonde__error_frames(error, &frames) > 0);
}

static void test_message_that_cannot_be_formatted(void **state)
{
	const wchar_t broken[] = { (wchar_t)0x7fffffff, 0 };
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise(&sonde_internal, "odd: %ls", broken);

	(void)state;
	assert_string_equal(sonde_error_message(error), "odd: %ls");
}

/* How often a mistake is said; 0: each time, with assertions. */
#ifdef NDEBUG
#define N_SAID 1
#else
#define N_SAID 0
#endif

/* ---- Mistakes -------------------------------------------------------------------------------- */

static void freed_twice(void)
{
	struct sonde_error *error = sonde_error_raise(&sonde_internal, "once");
	struct sonde_error *again = error;

	reports_listen();
	error = sonde_error_free(error);
	CHECK(error == NULL && n_reports == 0);
	for (int i = 0; i < 3; i++)
		sonde_error_free(again);
	CHECK(n_reports == (N_SAID ? N_SAID : 3));
	CHECK(strstr(last_report, "freed twice"));
	CHECK(strstr(last_report, "sonde_internal, raised at tests/unit/error/test_object.c:"));
	CHECK(strstr(last_report, " in freed_twice"));
	if (!N_SAID)
		CHECK(strstr(last_report, "; freed by #0 freed_twice+0x"));
	sonde_error_set(again, sonde_int("a", 1));
	CHECK(again->attributes_size == 0);
	expect_pool_is_whole();
}

static void freed_twice_on_the_heap(void)
{
	struct sonde_error *pooled[SONDE__ERROR_POOL_SIZE];
	struct sonde_error *error;

	reports_listen();
	for (size_t i = 0; i < SONDE__ERROR_POOL_SIZE; i++)
		pooled[i] = sonde_error_raise(&sonde_internal, "p");
	error = sonde_error_raise(&sonde_internal, "heap");
	CHECK(!(error->flags & ERROR_IS_POOLED));
	sonde_error_free(error);
	sonde_error_free(error);
	CHECK(n_reports == 1);
	for (size_t i = 0; i < SONDE__ERROR_POOL_SIZE; i++)
		sonde_error_free(pooled[i]);
	expect_pool_is_whole();
}

static void cause_freed_by_its_former_owner(void)
{
	struct sonde_error *cause = sonde_error_raise(&sonde_timeout, "cause");
	struct sonde_error *error = sonde_error_wrap(cause, &sonde_internal, "outer");

	reports_listen();
	sonde_error_free(cause);
	CHECK(n_reports == 1);
	CHECK(strcmp(sonde_error_message(sonde_error_cause(error)), "cause") == 0);
	sonde_error_free(error);
	CHECK(n_reports == 1);
	expect_pool_is_whole();
}

static void cause_wrapped_twice(void)
{
	struct sonde_error *cause = sonde_error_raise(&sonde_timeout, "cause");
	struct sonde_error *first = sonde_error_wrap(cause, &sonde_internal, "first");
	struct sonde_error *second;
	struct sonde_error *third;

	reports_listen();
	second = sonde_error_wrap(cause, &sonde_internal, "second");
	CHECK(n_reports == 1);
	CHECK(!sonde_error_cause(second) && sonde_error_cause(first) == cause);
	/* And an error that wraps itself by way of its owner: no cycle. */
	sonde_error_free(first);
	third = sonde_error_wrap(cause, &sonde_internal, "third");
	CHECK(!sonde_error_cause(third));
	CHECK(sonde__error_chain_length(third) == 1);
	sonde_error_free(second);
	sonde_error_free(third);
	expect_pool_is_whole();
}

/* No call makes a cycle; memory that somebody overwrote may. */
static void chain_made_cyclic_by_force(void)
{
	struct sonde_error *cause = sonde_error_raise(&sonde_timeout, "cause");
	struct sonde_error *error = sonde_error_wrap(cause, &sonde_internal, "outer");
	char buffer[20000];
	uint64_t id;

	reports_listen();
	cause->cause = error;
	CHECK(sonde__error_chain_length(error) == SONDE__ERROR_CHAIN_MAX);
	CHECK(sonde__error_root(error));
	CHECK(!sonde_error_find(error, &sonde_conflict));
	CHECK(sonde_error_format_chain(error, buffer, sizeof(buffer)) < 64 * 200);
	CHECK(!sonde__error_mark_captured(error, 3, &id));
	sonde_error_free(error);
	expect_pool_is_whole();
}

static void test_mistakes_are_found(void **state)
{
	(void)state;
	run_in_child(freed_twice);
	run_in_child(freed_twice_on_the_heap);
	run_in_child(cause_freed_by_its_former_owner);
	run_in_child(cause_wrapped_twice);
	run_in_child(chain_made_cyclic_by_force);
}

/* ---- Long chains ----------------------------------------------------------------------------- */

static void test_wrapping_for_ever(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "root");
	const struct sonde_error *root = error;
	uint64_t id = 0;

	(void)state;
	for (int i = 0; i < 80; i++)
		error = sonde_error_wrap(error, &sonde_conflict, "wrap %d", i);
	assert_false(sonde__error_mark_captured(error, 0x1234, &id));
	for (int i = 80; i < 100000; i++)
		error = sonde_error_wrap(error, &sonde_conflict, "wrap %d", i);
	assert_int_equal(sonde__error_chain_length(error), SONDE__ERROR_CHAIN_MAX);
	assert_ptr_equal(sonde__error_root(error), root);
	assert_string_equal(sonde_error_message(error), "wrap 99999");
	assert_int_equal(sonde__error_n_omitted(error), 100001 - SONDE__ERROR_CHAIN_MAX);
	/* That it was captured is not forgotten with the errors that were left out. */
	assert_true(sonde__error_mark_captured(error, 0x999, &id));
	assert_int_equal(id, 0x1234);
	sonde_error_free(error);
	expect_pool_is_whole();
}

/* ---- Captured -------------------------------------------------------------------------------- */

static void test_captured_once(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "root");
	uint64_t id = 0;

	(void)state;
	assert_false(sonde__error_mark_captured(error, 11, &id));
	assert_int_equal(id, 0);
	assert_true(sonde__error_mark_captured(error, 12, &id));
	assert_int_equal(id, 11);
	error = sonde_error_wrap(error, &sonde_conflict, "outer");
	error = sonde_error_wrap(error, &sonde_conflict, "outermost");
	id = 0;
	assert_true(sonde__error_mark_captured(error, 13, &id));
	assert_int_equal(id, 11);
	sonde_error_free(error);
	/* Its memory's next error is a new one. */
	for (size_t i = 0; i < 2 * SONDE__ERROR_POOL_SIZE; i++) {
		error = sonde_error_raise(&sonde_timeout, "new");
		assert_false(sonde__error_mark_captured(error, 20 + i, &id));
		sonde_error_free(error);
	}
}

/* ---- No memory ------------------------------------------------------------------------------- */

static struct sonde_error *pooled[SONDE__ERROR_POOL_SIZE];

static void memory_exhaust(void)
{
	for (size_t i = 0; i < SONDE__ERROR_POOL_SIZE; i++)
		pooled[i] = sonde_error_raise(&sonde_internal, "held");
	allocator_fails = true;
}

static void memory_return(void)
{
	allocator_fails = false;
	for (size_t i = 0; i < SONDE__ERROR_POOL_SIZE; i++)
		pooled[i] = sonde_error_free(pooled[i]);
}

static void test_no_memory(void **state)
{
	struct sonde_error *error;
	struct sonde_error copy;
	uint64_t id;

	(void)state;
	memory_exhaust();
	errno = 4711;
	error = sonde_error_raise(&sonde_not_found, "lost %d", 1);
	assert_int_equal(errno, 4711);
	memcpy(&copy, error, sizeof(copy));
	assert_ptr_equal(sonde_error_type_of(error), &sonde_out_of_memory);
	assert_string_equal(sonde_error_message(error), "out of memory");
	assert_true(sonde_error_is(error, &sonde_internal));
	assert_false(sonde_error_is(error, &sonde_not_found));
	assert_int_equal(sonde_error_http_status(error),
			 sonde_error_type_http_status(&sonde_out_of_memory));
	assert_int_equal(sonde__error_severity(error),
			 sonde_error_type_severity(&sonde_out_of_memory));
	assert_ptr_equal(sonde_error_raise(&sonde_not_found, "lost"), error);
	for (int i = 0; i < 3; i++) {
		assert_false(sonde__error_mark_captured(error, 7, &id));
		sonde_error_set(error, sonde_int("a", 1));
		assert_null(sonde_error_free(error));
	}
	/* No wrapper to be had: what it would have wrapped. */
	assert_ptr_equal(sonde_error_wrap(error, &sonde_conflict, "w"), error);
	assert_ptr_equal(sonde_error_wrap(pooled[0], &sonde_conflict, "w"), pooled[0]);
	assert_memory_equal(&copy, error, sizeof(copy));

	sonde_error_free(pooled[0]);
	pooled[0] = sonde_error_wrap(error, &sonde_conflict, "wrapper");
	assert_ptr_equal(sonde_error_cause(pooled[0]), error);
	assert_int_equal(sonde__error_chain_length(pooled[0]), 2);
	assert_false(sonde__error_mark_captured(pooled[0], 7, &id));
	assert_memory_equal(&copy, error, sizeof(copy));
	memory_return();
	expect_pool_is_whole();
}

/* ---- Claims looked at from outside ----------------------------------------------------------- */

static void forbid_system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void use_everything(void)
{
	char buffer[1000];
	uint64_t id;
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise(&sonde_timeout, "%s %d %.3f", "text", 5, 1.5);

	error = sonde_error_wrap(error, &sonde_conflict, "outer %lx", 5ul);
	sonde_error_set(error, sonde_str("key", "value"));
	sonde__error_mark_captured(error, 5, &id);
	sonde_error_format_chain(error, buffer, sizeof(buffer));
	sonde_error_find(error, &sonde_timeout);
}

static void without_system_calls_or_memory(void)
{
	use_everything(); /* Binds its functions: the loader's calls are not ours. */
	allocator_calls = 0;
	forbid_system_calls();
	for (int i = 0; i < 1000; i++)
		use_everything();
	syscall(SYS_exit_group, allocator_calls == 0 ? 0 : 1);
}

static void test_no_system_call_and_no_allocation(void **state)
{
	const char *preload = getenv("LD_PRELOAD");

	(void)state;
	/* Which makes system calls of its own. */
	if (preload && strstr(preload, "vgpreload"))
		skip();
	run_in_child(without_system_calls_or_memory);
}

static void test_errno_is_kept(void **state)
{
	struct sonde_error *errors[2 * SONDE__ERROR_POOL_SIZE];
	char buffer[10];
	uint64_t id;

	(void)state;
	errno = 4711;
	for (size_t i = 0; i < 2 * SONDE__ERROR_POOL_SIZE; i++) {
		errors[i] = sonde_error_raise(&sonde_internal, "%zu", i);
		errors[i] = sonde_error_wrap(errors[i], &sonde_internal, "%f", 1e300);
		sonde_error_set(errors[i], sonde_int("a", 1));
		sonde_error_format_chain(errors[i], buffer, sizeof(buffer));
		sonde__error_mark_captured(errors[i], 1, &id);
		assert_int_equal(errno, 4711);
	}
	for (size_t i = 0; i < 2 * SONDE__ERROR_POOL_SIZE; i++) {
		sonde_error_free(errors[i]);
		assert_int_equal(errno, 4711);
	}
}

/* ---- Longer than its raiser ------------------------------------------------------------------ */

static void test_outlives_its_plugin(void **state)
{
	void *plugin = dlopen(getenv("ERROR_PLUGIN"), RTLD_NOW);
	struct sonde_error *(*plugin_raise)(struct sonde_error *);
	SONDE_ERROR_AUTOFREE struct sonde_error *error = NULL;
	char text[500];
	uint64_t id;

	(void)state;
	assert_non_null(plugin);
	plugin_raise = (struct sonde_error *
			(*)(struct sonde_error *))(uintptr_t)dlsym(plugin, "plugin_raise");
	error = plugin_raise(sonde_error_raise(&sonde_timeout, "root"));
	assert_int_equal(dlclose(plugin), 0);
	assert_null(dlopen(getenv("ERROR_PLUGIN"), RTLD_NOW | RTLD_NOLOAD));
	error = sonde_error_wrap(error, &sonde_internal, "outer");
	sonde_error_format_chain(error, text, sizeof(text));
	assert_non_null(strstr(text, "caused by: plugin_failed: the plugin says no ("));
	assert_non_null(strstr(text, "plugin.c:"));
	assert_true(sonde_error_is(sonde_error_cause(error), &sonde_conflict));
	assert_false(sonde_error_is(sonde_error_cause(error), &sonde_not_found));
	assert_int_equal(sonde_error_http_status(sonde_error_cause(error)), 418);
	assert_int_equal(sonde__error_severity(sonde_error_cause(error)), SONDE_FATAL);
	assert_non_null(sonde_error_find(error, &sonde_conflict));
	assert_false(sonde__error_mark_captured(error, 1, &id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_holds),
		cmocka_unit_test(test_null_is_accepted),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_messages_are_cut_at_a_character),
		cmocka_unit_test(test_long_places),
		cmocka_unit_test(test_message_that_cannot_be_formatted),
		cmocka_unit_test(test_messages_of_any_size_and_bytes),
		cmocka_unit_test(test_a_context_is_of_its_causes_type),
		cmocka_unit_test(test_steal),
		cmocka_unit_test(test_stacks_by_type),
		cmocka_unit_test(test_mistakes_are_found),
		cmocka_unit_test(test_wrapping_for_ever),
		cmocka_unit_test(test_captured_once),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_no_system_call_and_no_allocation),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_outlives_its_plugin),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
