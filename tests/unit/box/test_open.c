/* SPDX-License-Identifier: Apache-2.0 */
/* The table of open spans: begun, ended, forgotten, interrupted, taken over, and read by others. */

#include "box/open.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "../../support/child.h"
#include "base/process.h"
#include "base/random.h"
#include "box/box.h"
#include "box/open_inline.h"

#define SPAN_SIZE 512
#define N_SPANS 64
#define STACK_SIZE (4096 * 1024) /* ThreadSanitizer keeps much of its own in a thread. */
#define SAME_POSITION SONDE__OPEN_LANE /* So many spans further on is the same place in a lane. */

static uint8_t memory[N_SPANS][SPAN_SIZE];
static char directory[64];

/* All words of a span follow from its id, so that a reader sees when two were mixed. */
static struct sonde__open_begin span_make(uint64_t number, const void *place)
{
	struct sonde__open_begin span = { .span_id = sonde__mix64(number) | 1 };

	span.trace_id[0] = sonde__mix64(span.span_id);
	span.trace_id[1] = sonde__mix64(span.trace_id[0]);
	span.parent_id = sonde__mix64(span.trace_id[1]);
	span.start = span.parent_id >> 3;
	span.site = (uint32_t)(span.start % SONDE__SITES_MAX);
	span.place = place;
	return span;
}

static bool is_whole(const struct sonde__open_span *found)
{
	uint64_t trace_id = sonde__mix64(found->span_id);
	uint64_t parent_id = sonde__mix64(sonde__mix64(trace_id));

	return found->trace_id[0] == trace_id && found->trace_id[1] == sonde__mix64(trace_id) &&
	       found->parent_id == parent_id && found->start == parent_id >> 3 &&
	       found->site == (parent_id >> 3) % SONDE__SITES_MAX;
}

static uint32_t begin(uint64_t number, const void *place)
{
	struct sonde__open_begin span = span_make(number, place);

	return sonde__open_begin(&span);
}

static void end(uint64_t number, uint32_t entry)
{
	sonde__open_end(entry, sonde__mix64(number) | 1);
}

static struct sonde__box_info open_box(bool no_open_spans)
{
	struct sonde__box_options options = { .size_bytes = SONDE__BOX_SIZE_MIN,
					      .directory = directory,
					      .service_name = "unit open",
					      .no_open_spans = no_open_spans };
	struct sonde__box_info info;

	CHECK(sonde__process_init() == 0 && sonde__box_open(&options, &info) == SONDE_OK);
	return info;
}

static struct sonde__open_count count(void)
{
	struct sonde__open_count counts;

	sonde__open_count(&counts);
	return counts;
}

static bool is_open(uint64_t number, struct sonde__open_span *ret)
{
	struct sonde__open_span found[SONDE__OPEN_ENTRIES_MAX / 64];
	size_t n = sonde__open_list(found, sizeof(found) / sizeof(found[0]));

	for (size_t i = 0; i < n; i++) {
		CHECK(is_whole(&found[i]));
		if (found[i].span_id == (sonde__mix64(number) | 1)) {
			*ret = found[i];
			return true;
		}
	}
	return false;
}

static void a_span_is_there_from_begin_to_end(void)
{
	struct sonde__open_span found;
	uint32_t entry;

	open_box(false);
	CHECK(count().open == 0);
	entry = begin(1, memory[0]);
	CHECK(entry != 0 && count().open == 1 && is_open(1, &found));
	CHECK(found.thread == (int32_t)syscall(SYS_gettid));
	end(1, entry);
	CHECK(count().open == 0 && !is_open(1, &found) && count().untracked == 0);
	/* Its own entry again, without looking for one. */
	CHECK(begin(2, memory[0]) == entry && count().open == 1);
}

static void as_many_as_two_lanes_hold(void)
{
	uint32_t entries[N_SPANS];
	struct sonde__open_span found;
	const uint64_t most = 2 * SONDE__OPEN_LANE;

	open_box(false);
	for (uint64_t i = 0; i < most; i++)
		CHECK((entries[i] = begin(i, memory[i])) != 0);
	CHECK(count().open == most && count().untracked == 0);
	for (uint64_t i = 0; i < most; i++)
		CHECK(is_open(i, &found));
	for (uint64_t i = most; i < most + 5; i++)
		CHECK(begin(i, memory[i]) == 0);
	CHECK(count().open == most && count().untracked == 5);
	/* In any order; the first that is free is taken. */
	end(3, entries[3]);
	CHECK(begin(100, memory[40]) == entries[3] && is_open(100, &found));
	end(3, entries[3]);
	CHECK(is_open(100, &found) && count().untracked == 6);
}

/* An entry stays with the place, so that nested spans find theirs at once. */
static void nested_spans_do_not_search(void)
{
	uint32_t entries[SONDE__OPEN_LANE];

	open_box(false);
	for (uint32_t offset = 0; offset < SONDE__OPEN_LANE; offset++) {
		for (uint64_t i = 0; i < SONDE__OPEN_LANE; i++) {
			entries[i] = begin(i, memory[offset + i]);
			CHECK((entries[i] - 1) % SONDE__OPEN_LANE_SIZE ==
			      sonde__open_position(memory[offset + i]));
		}
		for (uint64_t i = 0; i < SONDE__OPEN_LANE; i++)
			end(i, entries[i]);
	}
	CHECK(count().open == 0 && count().untracked == 0);
}

static void a_span_begun_in_a_forgotten_ones_memory(void)
{
	struct sonde__open_span found;
	uint32_t entry;

	open_box(false);
	entry = begin(1, memory[5]);
	CHECK(begin(2, memory[5]) == entry);
	CHECK(count().open == 1 && is_open(2, &found) && count().untracked == 0);
	end(1, entry);
	CHECK(count().open == 1 && count().untracked == 1);
	end(2, entry);
	CHECK(count().open == 0 && count().untracked == 1);
}

/* Leaves spans in frames that are gone when it returns. */
static __attribute__((noinline)) uint32_t leave_behind(uint64_t n)
{
	uint8_t frame[N_SPANS][SPAN_SIZE];
	uint32_t n_tracked = 0;

	for (uint64_t i = 0; i < n; i++)
		n_tracked += begin(1000 + i, frame[i]) != 0;
	return n_tracked;
}

static void spans_in_frames_that_are_gone_give_way(void)
{
	struct sonde__open_span found;
	uint32_t outer;

	open_box(false);
	outer = begin(1, memory[1]);
	CHECK(leave_behind(2 * SONDE__OPEN_LANE) == 2 * SONDE__OPEN_LANE - 1);
	CHECK(count().open == 2 * SONDE__OPEN_LANE && count().untracked == 1);
	for (uint64_t i = 2; i < 2 * SONDE__OPEN_LANE; i++)
		CHECK(begin(i, memory[i]) != 0);
	CHECK(count().untracked == 1 && is_open(1, &found) && is_open(9, &found));
	end(1, outer);
}

struct handed {
	uint64_t number;
	uint32_t entry;
	int32_t thread;
};

static void *begin_and_leave(void *argument)
{
	struct handed *handed = argument;

	sonde__open_thread_enter();
	handed->thread = (int32_t)syscall(SYS_gettid);
	handed->entry = begin(handed->number, memory[7]);
	return NULL;
}

/* On a stack of ours, so that one thread comes to stand exactly where another was. */
static void run_thread(void *stack, size_t size, void *(*function)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;

	CHECK(pthread_attr_init(&attributes) == 0);
	CHECK(pthread_attr_setstack(&attributes, stack, size) == 0);
	CHECK(pthread_create(&thread, &attributes, function, argument) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(pthread_attr_destroy(&attributes) == 0);
}

static void a_span_ends_on_another_thread(void)
{
	static _Alignas(4096) uint8_t stack[STACK_SIZE];
	struct handed handed = { .number = 1 };
	struct sonde__open_span found;

	open_box(false);
	run_thread(stack, sizeof(stack), begin_and_leave, &handed);
	CHECK(is_open(1, &found) && found.thread == handed.thread && found.thread != getpid());
	end(1, handed.entry);
	CHECK(count().open == 0 && count().untracked == 0);
}

static void a_thread_where_another_was(void)
{
	static _Alignas(4096) uint8_t stack[STACK_SIZE];
	struct handed first = { .number = 1 };
	struct handed second = { .number = 2 };
	struct sonde__open_span found;

	open_box(false);
	run_thread(stack, sizeof(stack), begin_and_leave, &first);
	end(1, first.entry);
	run_thread(stack, sizeof(stack), begin_and_leave, &second);
	CHECK(is_open(2, &found) && found.thread == second.thread);
	CHECK(first.thread != second.thread);
}

/* A thread's spans go when room is short, and not before: one may have been handed on. */
static void what_dead_threads_left_is_swept(void)
{
	static _Alignas(4096) uint8_t stack[STACK_SIZE];
	struct handed handed = { .number = 1000 };
	struct sonde__open_span found;

	open_box(false);
	run_thread(stack, sizeof(stack), begin_and_leave, &handed);
	for (int i = 0; i < 100; i++)
		sonde__open_sweep();
	CHECK(is_open(1000, &found));
	for (uint64_t i = 0; i < 40; i++)
		begin(i, memory[8 + i]);
	CHECK(count().untracked > 0 && is_open(1, &found));
	for (int i = 0; i < 100; i++)
		sonde__open_sweep();
	CHECK(!is_open(1000, &found) && is_open(1, &found));
}

static void switched_off(void)
{
	open_box(true);
	CHECK(begin(1, memory[0]) == 0 && count().open == 0 && count().untracked == 0);
	end(1, 1);
	end(1, 0);
}

static void a_restart_empties_the_table(void)
{
	struct sonde__open_span found;
	uint32_t entry;

	open_box(false);
	entry = begin(1, memory[0]);
	sonde__box_close();
	CHECK(is_open(1, &found));
	open_box(false);
	CHECK(count().open == 0);
	CHECK(begin(2, memory[1]) != 0);
	end(1, entry);
	CHECK(count().open == 1 && is_open(2, &found));
}

static uint64_t n_in_file(const char *path)
{
	struct sonde__box_header header;
	int fd = open(path, O_RDONLY);
	uint64_t n = 0;

	CHECK(fd >= 0 && pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header));
	for (uint32_t i = 0; i < header.open_spans.count; i++) {
		struct sonde__open_entry entry;
		struct sonde__open_span span;

		CHECK(pread(fd, &entry, sizeof(entry),
			    (off_t)(header.open_spans.offset + i * header.open_spans.stride)) ==
		      (ssize_t)sizeof(entry));
		n += sonde__open_entry_read(&entry, &span);
	}
	close(fd);
	return n;
}

static void a_child_has_a_table_of_its_own(void)
{
	struct sonde__box_info info = open_box(false);
	struct sonde__open_span found;
	uint32_t entry = begin(1, memory[0]);
	pid_t pid = fork();

	if (pid == 0) {
		struct sonde__box_info own;

		CHECK(sonde__box_open(/* options= */ NULL, &own) == SONDE_OK);
		sonde__process_adopt();
		CHECK(count().open == 0);
		CHECK(begin(2, memory[1]) != 0 && is_open(2, &found));
		CHECK(found.thread == getpid());
		end(1, entry);
		CHECK(is_open(2, &found) && n_in_file(info.path) == 1);
		sonde__box_close();
		_exit(CHILD_OK);
	}
	CHECK(child_wait(pid) == CHILD_OK);
	CHECK(is_open(1, &found) && count().open == 1 && n_in_file(info.path) == 1);
	sonde__box_close();
}

static void a_forsaken_child_has_none(void)
{
	uint32_t entry;
	pid_t pid;

	open_box(false);
	entry = begin(1, memory[0]);
	pid = fork();
	if (pid == 0) {
		sonde__box_forsake();
		sonde__process_adopt();
		CHECK(begin(2, memory[1]) == 0 && count().open == 0);
		end(1, entry);
		_exit(CHILD_OK);
	}
	CHECK(child_wait(pid) == CHILD_OK && count().open == 1);
	sonde__box_close();
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void garbage_is_no_span(void)
{
	struct sonde__open_span span;
	union {
		uint64_t words[8];
		uint8_t bytes[64];
		struct sonde__open_entry entry;
	} any;

	for (unsigned byte = 0; byte < 256; byte++) {
		memset(any.bytes, (int)byte, sizeof(any.bytes));
		CHECK(!sonde__open_entry_read(&any.entry, &span));
	}
	for (uint64_t i = 0; i < 200000; i++) {
		any.words[i % 8] = sonde__mix64(i);
		CHECK(!sonde__open_entry_read(&any.entry, &span));
	}
}

/* Wherever a writer is between two of its words, it shows. */
static void a_change_under_way_is_no_span(void)
{
	static const size_t order[] = { offsetof(struct sonde__open_entry, span_id),
					offsetof(struct sonde__open_entry, trace_id[0]),
					offsetof(struct sonde__open_entry, trace_id[1]),
					offsetof(struct sonde__open_entry, parent_id),
					offsetof(struct sonde__open_entry, start),
					offsetof(struct sonde__open_entry, site),
					offsetof(struct sonde__open_entry, check) };
	struct sonde__open_entry old, new;
	struct sonde__open_span span;

	open_box(false);
	memcpy(&old, &sonde__open_table.entries[begin(0, memory[0]) / 64], sizeof(old));
	memcpy(&new, &sonde__open_table.entries[begin(1, memory[1]) / 64], sizeof(new));
	CHECK(sonde__open_entry_read(&old, &span) && is_whole(&span));
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		memcpy((uint8_t *)&old + order[i], (uint8_t *)&new + order[i], 8);
		if (i + 1 < sizeof(order) / sizeof(order[0]))
			CHECK(!sonde__open_entry_read(&old, &span));
	}
	CHECK(sonde__open_entry_read(&old, &span) && is_whole(&span));
	CHECK(span.span_id == (sonde__mix64(1) | 1));
}

/* ---- Interruptions --------------------------------------------------------------------------- */

#ifdef SONDE_TESTPOINTS
static const char *stop_at;
static bool leaves_open;
static uint32_t inner;

/* As a signal handler would: at this very point, and on an entry in the same position. */
static void interrupt(const char *name)
{
	struct sonde__open_span found;

	if (!stop_at || strcmp(name, stop_at) != 0)
		return;
	stop_at = NULL;
	inner = begin(50, memory[SAME_POSITION]);
	CHECK(inner != 0 && is_open(50, &found));
	if (!leaves_open)
		end(50, inner);
}

/* `outer_takes`: it does so before the interruption, which therefore goes elsewhere. */
static void interrupted_at(const char *point, bool inner_stays, bool outer_takes)
{
	struct sonde__open_span found;
	uint64_t untracked = count().untracked;
	uint32_t outer;

	stop_at = point;
	leaves_open = inner_stays;
	outer = begin(1, memory[0]);
	CHECK(outer != 0 && !stop_at);
	CHECK(is_open(1, &found) && (inner == outer) == !outer_takes);
	CHECK(is_open(50, &found) == (inner_stays && outer_takes));
	end(1, outer);
	if (inner_stays)
		end(50, inner);
	CHECK(count().open == 0);
	CHECK(count().untracked - untracked == (inner_stays && !outer_takes));
}

static void a_signal_handler_comes_in_between(void)
{
	open_box(false);
	end(1, begin(1, memory[0])); /* So that the entry is this thread's. */
	sonde__testpoint_hook = interrupt;
	for (int inner_stays = 0; inner_stays < 2; inner_stays++) {
		interrupted_at("open:found", inner_stays, /* outer_takes= */ false);
		interrupted_at("open:taken", inner_stays, /* outer_takes= */ true);
		interrupted_at("open:written", inner_stays, /* outer_takes= */ true);
	}
}
#endif

/* ---- Threads --------------------------------------------------------------------------------- */

#define N_THREADS 40 /* In sixteen lanes. */
#define N_ROUNDS 400
#define DEPTH 4

static _Atomic bool is_done;

static void *work(void *argument)
{
	uint8_t frame[DEPTH][SPAN_SIZE];
	uint32_t entries[DEPTH];
	uint64_t number = (uint64_t)(uintptr_t)argument << 32;

	sonde__open_thread_enter();
	for (int round = 0; round < N_ROUNDS; round++) {
		for (uint64_t i = 0; i < DEPTH; i++)
			entries[i] = begin(number + i, frame[i]);
		for (uint64_t i = DEPTH; i-- > 0;)
			end(number + i, entries[i]);
		number += DEPTH;
		if (round % 16 == 0)
			sched_yield();
	}
	return NULL;
}

static void *watch(void *argument)
{
	struct sonde__open_span found[256];

	while (!atomic_load_explicit(&is_done, memory_order_relaxed)) {
		size_t n = sonde__open_list(found, 256);

		for (size_t i = 0; i < n; i++)
			CHECK(is_whole(&found[i]));
		sonde__open_sweep();
		sched_yield();
	}
	return argument;
}

static void threads_in_the_same_lanes(void)
{
	pthread_t threads[N_THREADS];
	pthread_t watcher;

	open_box(false);
	CHECK(sonde__open_table.mask + 1 == 16 * SONDE__OPEN_LANE_SIZE);
	CHECK(pthread_create(&watcher, NULL, watch, NULL) == 0);
	for (uintptr_t i = 0; i < N_THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
	for (int i = 0; i < N_THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	atomic_store_explicit(&is_done, true, memory_order_relaxed);
	CHECK(pthread_join(watcher, NULL) == 0);
	CHECK(count().open == 0);
}

/* ---- All ------------------------------------------------------------------------------------- */

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

static int make_directory(void **state)
{
	(void)state;
	memcpy(directory, "/dev/shm/sonde-test-XXXXXX", 27);
	return mkdtemp(directory) ? 0 : -1;
}

static void close_and_leave(void (*function)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		function();
		sonde__box_close();
		_exit(CHILD_OK);
	}
	assert_int_equal(child_wait(pid), CHILD_OK);
}

#define TEST(name) \
	static void test_##name(void **state) \
	{ \
		(void)state; \
		close_and_leave(name); \
	}

TEST(a_span_is_there_from_begin_to_end)
TEST(as_many_as_two_lanes_hold)
TEST(nested_spans_do_not_search)
TEST(a_span_begun_in_a_forgotten_ones_memory)
TEST(spans_in_frames_that_are_gone_give_way)
TEST(a_span_ends_on_another_thread)
TEST(a_thread_where_another_was)
TEST(what_dead_threads_left_is_swept)
TEST(switched_off)
TEST(a_restart_empties_the_table)
TEST(a_child_has_a_table_of_its_own)
TEST(a_forsaken_child_has_none)
TEST(garbage_is_no_span)
TEST(a_change_under_way_is_no_span)
#ifdef SONDE_TESTPOINTS
TEST(a_signal_handler_comes_in_between)
#endif
TEST(threads_in_the_same_lanes)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_span_is_there_from_begin_to_end),
		cmocka_unit_test(test_as_many_as_two_lanes_hold),
		cmocka_unit_test(test_nested_spans_do_not_search),
		cmocka_unit_test(test_a_span_begun_in_a_forgotten_ones_memory),
		cmocka_unit_test(test_spans_in_frames_that_are_gone_give_way),
		cmocka_unit_test(test_a_span_ends_on_another_thread),
		cmocka_unit_test(test_a_thread_where_another_was),
		cmocka_unit_test(test_what_dead_threads_left_is_swept),
		cmocka_unit_test(test_switched_off),
		cmocka_unit_test(test_a_restart_empties_the_table),
		cmocka_unit_test(test_a_child_has_a_table_of_its_own),
		cmocka_unit_test(test_a_forsaken_child_has_none),
		cmocka_unit_test(test_garbage_is_no_span),
		cmocka_unit_test(test_a_change_under_way_is_no_span),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_a_signal_handler_comes_in_between),
#endif
		cmocka_unit_test(test_threads_in_the_same_lanes),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
