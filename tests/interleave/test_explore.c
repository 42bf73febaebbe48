/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every schedule of a small case. Two writers and the reader are coroutines on a ring of a few tiny
 * blocks; a test point is where one may be preempted for another. The explorer runs the case again
 * and again, each time with the next list of choices, until it has tried all schedules with at most
 * so many preemptions (a bug in such code needs few: Musuvathi and Qadeer, "Iterative context
 * bounding", PLDI 2007). It sees sequentially consistent executions alone; what weaker orders may
 * do is the argument's part and the stress test's on real machines.
 *
 * Checked in each: every record comes out once and whole, also at the moment of its release; each
 * writer's records come in its order; a pass delivers whatever was committed before it began;
 * nobody is refused while there is room; counts agree at the end.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

#include "base/testpoint.h"
#include "box/ring.h"

#define N_TASKS 3
#define STACK_SIZE (64 * 1024)
#define MAX_CHOICES 512
#define MAX_IDS 64
#define READER 2
#define IDS_EACH 16 /* A writer's ids begin at its number times this; the warm-up's is 3. */

struct scenario {
	uint32_t n_blocks;
	uint32_t n_granules;
	uint32_t n_before; /* Records put and drained before: where the head stands at first. */
	const uint8_t *sizes[2]; /* Each writer's records, in granules; 0 ends. */
	unsigned n_passes;
	int max_preemptions;
	bool may_refuse;
};

/* ---- The explorer ---------------------------------------------------------------------------- */

struct choice {
	uint8_t n_options;
	uint8_t taken;
};

static struct {
	struct choice list[MAX_CHOICES];
	int n; /* Choices of the schedule that is under way. */
	int n_known; /* Of these prescribed. */
	int n_preemptions;
	uint64_t n_schedules;
} explorer;

static struct {
	ucontext_t scheduler;
	ucontext_t tasks[N_TASKS];
	char stacks[N_TASKS][STACK_SIZE];
	bool is_finished[N_TASKS];
	int running; /* -1: the scheduler. */
} machine;

static const struct scenario *scenario;

static int choose(int n_options)
{
	struct choice *choice = &explorer.list[explorer.n];

	if (n_options < 2)
		return 0;
	assert_true(explorer.n < MAX_CHOICES);
	if (explorer.n++ >= explorer.n_known) {
		choice->n_options = (uint8_t)n_options;
		choice->taken = 0;
		explorer.n_known = explorer.n;
	}
	assert_int_equal(choice->n_options, n_options);
	return choice->taken;
}

/* The next list of choices, depth first; false when there is none. */
static bool advance(void)
{
	int last = explorer.n - 1;

	while (last >= 0 && explorer.list[last].taken + 1 >= explorer.list[last].n_options)
		last--;
	if (last < 0)
		return false;
	explorer.list[last].taken++;
	explorer.n_known = last + 1;
	return true;
}

/* The first option is to go on with the same; another one costs a preemption. */
static int next_task(int current)
{
	int options[N_TASKS];
	int n_options = 0;
	bool may_go_on = current >= 0 && !machine.is_finished[current];
	int taken;

	if (may_go_on)
		options[n_options++] = current;
	for (int i = 0; i < N_TASKS; i++)
		if (i != current && !machine.is_finished[i] &&
		    (!may_go_on || explorer.n_preemptions < scenario->max_preemptions))
			options[n_options++] = i;
	if (n_options == 0)
		return -1;
	taken = choose(n_options);
	explorer.n_preemptions += may_go_on && taken > 0;
	return options[taken];
}

static void explore_hook(const char *name)
{
	int current = machine.running;

	(void)name;
	if (current >= 0)
		swapcontext(&machine.tasks[current], &machine.scheduler);
}

static void step(void)
{
	explore_hook("");
}

static void task_begin(int number, void (*run)(int))
{
	getcontext(&machine.tasks[number]);
	machine.tasks[number].uc_stack.ss_sp = machine.stacks[number];
	machine.tasks[number].uc_stack.ss_size = STACK_SIZE;
	machine.tasks[number].uc_link = &machine.scheduler;
	machine.is_finished[number] = false;
	makecontext(&machine.tasks[number], (void (*)(void))run, 1, number);
}

static void run_schedule(void)
{
	int current = -1;

	explorer.n = 0;
	explorer.n_preemptions = 0;
	while ((current = next_task(current)) >= 0) {
		machine.running = current;
		swapcontext(&machine.scheduler, &machine.tasks[current]);
		machine.running = -1;
	}
	explorer.n_schedules++;
}

/* ---- The case -------------------------------------------------------------------------------- */

static struct {
	_Alignas(4096) uint8_t memory[64 * 1024];
	struct sonde__ring *ring;
	struct sonde__ring_shape shape;
	bool is_committed[MAX_IDS];
	uint8_t n_seen[MAX_IDS];
	uint64_t last_seen[MAX_IDS / IDS_EACH]; /* By writer: its last id that came. */
	uint64_t n_captured;
	uint64_t n_refused;
	uint64_t n_released;
} world;

static void shape_set(void)
{
	struct sonde__ring_shape *shape = &world.shape;

	shape->n_blocks = scenario->n_blocks;
	shape->order_mask = 7;
	shape->n_granules = scenario->n_granules;
	shape->block_shift = 8;
	shape->order_offset = sizeof(struct sonde__ring);
	shape->blocks_offset = shape->order_offset + 128;
	shape->maps_offset = shape->blocks_offset + 8 * (uint32_t)sizeof(struct sonde__block);
	shape->data_offset = shape->maps_offset + 8 * 8;
	shape->size = shape->data_offset + 8 * 256;
}

static void record_fill(void *memory, uint64_t id, uint32_t n_granules)
{
	struct sonde__record *record = memory;

	memset(record, (int)(id * 37), (size_t)n_granules * SONDE__GRANULE);
	record->size = n_granules * SONDE__GRANULE;
	record->time = id;
}

static bool record_is_whole(const struct sonde__record *record)
{
	const uint8_t *bytes = (const uint8_t *)record;

	for (uint32_t i = sizeof(*record); i < record->size; i++)
		if (bytes[i] != (uint8_t)(record->time * 37))
			return false;
	return record->time < MAX_IDS && record->size > 0 && record->size <= 4 * SONDE__GRANULE;
}

static void put(uint64_t id, uint32_t n_granules)
{
	struct sonde__place place;

	world.n_captured++;
	if (!sonde__ring_reserve(world.ring, &world.shape, n_granules, SONDE_SIGNAL_SPAN, &place)) {
		world.n_refused++;
		return;
	}
	record_fill(place.record, id, n_granules);
	step();
	atomic_store_explicit(place.mark, (uint8_t)(SONDE__MARK_COMMITTED | SONDE_SIGNAL_SPAN),
			      memory_order_release);
	if (id < MAX_IDS)
		world.is_committed[id] = true;
	step();
}

static void writer_run(int number)
{
	const uint8_t *sizes = scenario->sizes[number];

	for (uint64_t i = 0; sizes[i]; i++)
		put((uint64_t)number * IDS_EACH + i + 1, sizes[i]);
	machine.is_finished[number] = true;
}

static void see(const struct sonde__record *record)
{
	uint64_t id = record->time;

	assert_true(record_is_whole(record));
	assert_int_equal(world.n_seen[id], 0);
	world.n_seen[id]++;
	assert_true(world.last_seen[id / IDS_EACH] < id);
	world.last_seen[id / IDS_EACH] = id;
}

static void pass(void)
{
	struct sonde__record_ref refs[MAX_IDS];
	struct sonde__ring_pass pass = { 0 };
	bool was_committed[MAX_IDS];
	size_t n = 0;

	memcpy(was_committed, world.is_committed, sizeof(was_committed));
	assert_true(sonde__ring_collect(world.ring, &world.shape, &pass, refs, MAX_IDS, &n));
	for (size_t i = 0; i < n; i++)
		see(refs[i].record);
	for (size_t id = 0; id < MAX_IDS; id++)
		assert_true(!was_committed[id] || world.n_seen[id]);
	assert_true(sonde__ring_is_valid(world.ring, &world.shape));
	step();
	for (size_t i = 0; i < n; i++) {
		assert_true(record_is_whole(refs[i].record));
		sonde__ring_release(world.ring, &world.shape, refs[i].block, refs[i].record);
		world.n_released++;
	}
	assert_true(sonde__ring_is_valid(world.ring, &world.shape));
}

static void reader_run(int number)
{
	for (unsigned i = 0; i < scenario->n_passes; i++)
		pass();
	machine.is_finished[number] = true;
}

static void ids_forget(void)
{
	memset(world.is_committed, 0, sizeof(world.is_committed));
	memset(world.n_seen, 0, sizeof(world.n_seen));
	memset(world.last_seen, 0, sizeof(world.last_seen));
}

static void world_begin(void)
{
	memset(&world, 0, sizeof(world));
	world.ring = (struct sonde__ring *)world.memory;
	shape_set();
	sonde__ring_open(world.ring, &world.shape, /* sequence= */ 0, /* number= */ 0);
	for (uint32_t i = 0; i < scenario->n_before; i++) {
		put(/* id= */ 3 * IDS_EACH + 1, /* n_granules= */ 1);
		pass();
		ids_forget();
	}
}

static void world_check(void)
{
	struct sonde__ring_account account;

	pass();
	pass();
	for (size_t id = 0; id < MAX_IDS; id++)
		assert_int_equal(world.n_seen[id], world.is_committed[id]);
	assert_true(scenario->may_refuse || world.n_refused == 0);
	sonde__ring_account(world.ring, &world.shape, SONDE_SIGNAL_SPAN, &account);
	assert_int_equal(account.queued, 0);
	assert_int_equal(account.captured, world.n_captured - world.n_refused);
	assert_int_equal(account.captured, world.n_released);
	assert_int_equal(account.invalid, 0);
	for (uint32_t i = 0; i < world.shape.n_blocks; i++)
		assert_true(sonde__ring_block(world.ring, &world.shape, i)->index == i);
}

static void explore(const struct scenario *which)
{
	scenario = which;
	memset(&explorer, 0, sizeof(explorer));
	machine.running = -1;
	__atomic_store_n(&sonde__testpoint_hook, explore_hook, __ATOMIC_RELEASE);
	do {
		world_begin();
		task_begin(0, writer_run);
		task_begin(1, writer_run);
		task_begin(READER, reader_run);
		run_schedule();
		world_check();
	} while (advance());
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	print_message("%llu schedules\n", (unsigned long long)explorer.n_schedules);
}

static const uint8_t one_small[] = { 1, 0 };
static const uint8_t small_then_large[] = { 1, 2, 0 };
static const uint8_t large_then_small[] = { 2, 1, 0 };
static const uint8_t four[] = { 2, 1, 2, 1, 0 };
static const uint8_t six[] = { 1, 2, 1, 2, 2, 2, 0 };

static void two_writers_at_a_block_s_end(void **state)
{
	static const struct scenario what = { 4, 3, 2,	  { small_then_large, large_then_small },
					      2, 3, false };

	(void)state;
	explore(&what);
}

static void one_record_against_many(void **state)
{
	static const struct scenario what = { 4, 3, 1, { one_small, four }, 3, 3, false };

	(void)state;
	explore(&what);
}

static void a_ring_that_is_full(void **state)
{
	static const struct scenario what = { 2, 3, 0, { small_then_large, four }, 2, 3, true };

	(void)state;
	explore(&what);
}

/* Blocks come round under their old indices while one writer is anywhere. */
static void blocks_that_come_round(void **state)
{
	static const struct scenario what = { 2, 3, 5, { one_small, six }, 4, 3, true };

	(void)state;
	explore(&what);
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
	print_message("skipped: ThreadSanitizer does not follow swapcontext\n");
	return 77;
#endif
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_writers_at_a_block_s_end),
		cmocka_unit_test(one_record_against_many),
		cmocka_unit_test(a_ring_that_is_full),
		cmocka_unit_test(blocks_that_come_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
