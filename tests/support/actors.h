/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_ACTORS_H
#define SONDE_TESTS_ACTORS_H

/*
 * Threads of which one runs at a time, and a clock that hands the turn back: a test of blocking
 * calls decides which thread goes on when, and what time it is by then.
 *
 * An actor runs what it is given until that returns, or waits on the stage's clock. Then the test
 * goes on, may let others run or time pass, and has the actor look again whether its wait is over.
 */

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sonde/resilience.h>

#define ACTORS_MAX 8

struct stage;

struct actor {
	struct stage *stage;
	pthread_t thread;
	sem_t turn;
	void (*play)(void *user);
	void *user;
	uint64_t until_ns; /* Of the wait that it is in. */
	bool is_busy; /* Has not returned from what it plays. */
};

struct stage {
	struct sonde_clock clock; /* To be given to what is tested. */
	uint64_t now_ns;
	sem_t turn; /* The test's. */
	struct actor actors[ACTORS_MAX];
	size_t n_actors;
};

static inline void actors_take_turn(sem_t *turn)
{
	while (sem_wait(turn) != 0)
		;
}

static inline void *actor_main(void *argument)
{
	struct actor *actor = argument;

	for (;;) {
		actors_take_turn(&actor->turn);
		if (!actor->play)
			return NULL;
		actor->play(actor->user);
		actor->is_busy = false;
		sem_post(&actor->stage->turn);
	}
}

static inline uint64_t stage_now_ns(void *user)
{
	return ((const struct stage *)user)->now_ns;
}

/* On the actor's thread: the turn is the test's until it is given back. */
static inline void stage_wait(void *user, uint64_t until_ns)
{
	struct stage *stage = user;

	for (size_t i = 0; i < stage->n_actors; i++) {
		struct actor *actor = &stage->actors[i];

		if (!pthread_equal(actor->thread, pthread_self()))
			continue;
		actor->until_ns = until_ns;
		sem_post(&stage->turn);
		actors_take_turn(&actor->turn);
		return;
	}
	fail_msg("the test itself would wait");
}

static inline void stage_init(struct stage *stage, size_t n_actors)
{
	*stage = (struct stage){ .clock = { stage_now_ns, stage_wait, stage },
				 .n_actors = n_actors };
	sem_init(&stage->turn, /* shared= */ 0, 0);
	for (size_t i = 0; i < n_actors; i++) {
		stage->actors[i].stage = stage;
		sem_init(&stage->actors[i].turn, /* shared= */ 0, 0);
		assert_int_equal(pthread_create(&stage->actors[i].thread, NULL, actor_main,
						&stage->actors[i]),
				 0);
	}
}

/* The turn is the actor's until it returns or waits. */
static inline void actor_go_on(struct actor *actor)
{
	sem_post(&actor->turn);
	actors_take_turn(&actor->stage->turn);
}

static inline void actor_play(struct actor *actor, void (*play)(void *user), void *user)
{
	assert_false(actor->is_busy);
	actor->play = play;
	actor->user = user;
	actor->is_busy = true;
	actor_go_on(actor);
}

/* Nobody is busy any more. */
static inline void stage_deinit(struct stage *stage)
{
	for (size_t i = 0; i < stage->n_actors; i++) {
		assert_false(stage->actors[i].is_busy);
		stage->actors[i].play = NULL;
		sem_post(&stage->actors[i].turn);
		pthread_join(stage->actors[i].thread, NULL);
		sem_destroy(&stage->actors[i].turn);
	}
	sem_destroy(&stage->turn);
}

#endif
