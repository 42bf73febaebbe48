/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with known bugs, for test_fingerprint.py, which builds it in many ways: `MORE` below is
 * replaced by other functions or empty lines, so that addresses and line numbers move. Each bug is
 * captured with its name as an attribute.
 */

#include <sonde/sonde.h>

#define KEPT __attribute__((noinline, noclone))
/* A call after which there is still something to do, so that it does not become a jump. */
#define AFTERWARDS __asm__ volatile("" ::: "memory")

SONDE_ERROR_TYPE(declined, sonde_conflict, "DECLINED");
SONDE_ERROR_TYPE(too_old, sonde_conflict, "TOO_OLD");

static int n_cards;

/* MORE */

KEPT static struct sonde_error *charge(int how)
{
	struct sonde_error *error = NULL;

	if (how == 0)
		error = sonde_error_raise(&declined, "card %d was declined", ++n_cards);
	if (how == 1)
		error = sonde_error_raise(&too_old, "card %d was declined", ++n_cards);
	if (how == 2)
		error = sonde_error_raise(&declined, "card %d is not known", ++n_cards);
	/* MORE */
	if (how == 3)
		error = sonde_error_raise(&declined, "card %d was declined", ++n_cards);
	AFTERWARDS;
	return error;
}

/* Raises for everybody. */
KEPT static struct sonde_error *fail(const char *what)
{
	struct sonde_error *error = sonde_error_raise(&declined, "%s failed", what);

	AFTERWARDS;
	return error;
}

/* MORE */

KEPT static struct sonde_error *read_order(void)
{
	struct sonde_error *error = fail("reading");

	AFTERWARDS;
	return error;
}

KEPT static struct sonde_error *write_order(void)
{
	struct sonde_error *error = fail("writing");

	AFTERWARDS;
	return error;
}

KEPT static struct sonde_error *descend(int depth)
{
	struct sonde_error *error = depth ? descend(depth - 1)
					  : sonde_error_raise(&declined, "too deep: %d", depth);

	AFTERWARDS;
	return error;
}

/* The compiler may do with it what it likes. */
static struct sonde_error *check(int order)
{
	if (order < 0)
		return sonde_error_raise(&declined, "order %d has no number", order);
	return NULL;
}

KEPT static struct sonde_error *handle(int order)
{
	struct sonde_error *error = check(order);

	AFTERWARDS;
	return error;
}

/* In the middle: whether its frame is there is the compiler's choice. */
static struct sonde_error *pass_on(int how)
{
	struct sonde_error *error = charge(how);

	AFTERWARDS;
	return error;
}

KEPT static struct sonde_error *serve(int how)
{
	struct sonde_error *error = pass_on(how);

	AFTERWARDS;
	return error;
}

static struct sonde_error *grouped(struct sonde_error *error)
{
	sonde_error_set_fingerprint(error, "the bank is closed");
	return error;
}

KEPT static void capture(const char *name, struct sonde_error *error)
{
	sonde_error_set(error, sonde_str("bug", name));
	sonde_error_capture(error);
	sonde_error_free(error);
}

int main(void)
{
	struct sonde_agent *agent;

	if (sonde_agent_start(/* options= */ NULL, &agent) != SONDE_OK)
		return 1;
	capture("declined", charge(0));
	capture("too old", charge(1));
	capture("not known", charge(2));
	capture("declined on another line", charge(3));
	capture("reading", read_order());
	capture("writing", write_order());
	capture("3 deep", descend(3));
	capture("9 deep", descend(9));
	capture("wrapped", sonde_error_wrap(charge(0), &sonde_external_service, "no bank"));
	capture("wrapped otherwise", sonde_error_wrap(charge(0), &sonde_internal, "no bank"));
	capture("inlined at the root", handle(-1));
	capture("inlined in the middle", serve(0));
	capture("closed", grouped(charge(0)));
	capture("closed, too", grouped(read_order()));
	return sonde_agent_stop(agent, 10000) == SONDE_OK ? 0 : 1;
}
