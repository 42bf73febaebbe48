/* SPDX-License-Identifier: Apache-2.0 */
/* Adding up what the ledger, the lanes, the table and the box each know. */

#include "pipeline/account.h"

#include "pipeline/state.h"

void sonde__ledger_lock(struct sonde__pipeline *pipeline)
{
	pthread_mutex_lock(&pipeline->ledger.lock);
}

void sonde__ledger_unlock(struct sonde__pipeline *pipeline)
{
	pthread_mutex_unlock(&pipeline->ledger.lock);
}

/* Whether the destination is to answer for the signal: it takes it, or nobody does. */
static bool is_concerned(const struct sonde__pipeline *pipeline, size_t destination,
			 enum sonde_signal signal)
{
	enum sonde_signal carrier = signal == SONDE_SIGNAL_PART ? SONDE_SIGNAL_SPAN : signal;

	return pipeline->lanes[destination][carrier].is_open || !pipeline->is_taken[carrier];
}

static void add_lane(const struct sonde__lane *lane, struct sonde_account *account)
{
	account->exported += lane->exported;
	account->queued += sonde__lane_count(lane);
	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
		account->lost[reason] += lane->lost[reason];
}

static void add_box(const struct sonde__pipeline *pipeline, enum sonde_signal signal,
		    struct sonde_account *account)
{
	struct sonde__box_account box = { 0 };

	sonde__box_account(signal, &box);
	account->captured += box.captured;
	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
		account->lost[reason] += box.lost[reason] + pipeline->ledger.lost[signal][reason];
	/* After the end nobody fetches what a writer left unfinished, or finishes yet. */
	if (pipeline->ledger.has_expired)
		account->lost[SONDE_LOSS_ABANDONED] += box.queued;
	else
		account->queued += box.queued;
}

static void fill_account(const struct sonde__pipeline *pipeline, size_t destination,
			 enum sonde_signal signal, struct sonde_account *account)
{
	const struct sonde__ledger *ledger = &pipeline->ledger;

	add_box(pipeline, signal, account);
	switch (signal) {
	case SONDE_SIGNAL_LOG:
		account->captured += ledger->made;
		account->captured -= ledger->moved;
		add_lane(&pipeline->lanes[destination][signal], account);
		break;
	case SONDE_SIGNAL_PART:
		account->captured += ledger->moved;
		account->exported += ledger->joined;
		account->queued += sonde__join_count(&pipeline->join);
		break;
	default:
		account->captured += pipeline->lanes[destination][signal].made;
		add_lane(&pipeline->lanes[destination][signal], account);
		break;
	}
}

int sonde__pipeline_account(const struct sonde__pipeline *pipeline, size_t destination,
			    enum sonde_signal signal, struct sonde_account *ret)
{
	/* The lock is no part of what the caller may not change. */
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&pipeline->ledger.lock;
	struct sonde_account account = { 0 };

	if (destination >= pipeline->options.n_destinations ||
	    (unsigned)signal >= SONDE__SIGNAL_ROWS)
		return SONDE_E_NOT_FOUND;
	if (is_concerned(pipeline, destination, signal)) {
		pthread_mutex_lock(lock);
		fill_account(pipeline, destination, signal, &account);
		pthread_mutex_unlock(lock);
	}
	*ret = account;
	return SONDE_OK;
}

void sonde__pipeline_repairs(const struct sonde__pipeline *pipeline, struct sonde_repairs *ret)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&pipeline->ledger.lock;

	pthread_mutex_lock(lock);
	*ret = pipeline->ledger.repairs;
	pthread_mutex_unlock(lock);
}

void sonde__pipeline_redactions(const struct sonde__pipeline *pipeline,
				struct sonde_redactions *ret)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&pipeline->ledger.lock;

	pthread_mutex_lock(lock);
	*ret = pipeline->ledger.redactions;
	pthread_mutex_unlock(lock);
	for (int kind = 0; kind < SONDE_REDACTION_COUNT; kind++)
		ret->counts[kind] += sonde__redact_counted((enum sonde_redaction)kind);
}
