/* SPDX-License-Identifier: Apache-2.0 */
#include "account.h"

#include <inttypes.h>
#include <stdio.h>

bool account_adds_up(struct sonde_agent *agent)
{
	bool result = true;

	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde_account account;
		uint64_t lost = 0;

		if (sonde_agent_account(agent, 0, (enum sonde_signal)signal, &account) !=
		    SONDE_OK) {
			fprintf(stderr, "signal %d has no account\n", signal);
			return false;
		}
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
			lost += account.lost[reason];
		if (account.captured == account.exported + lost + account.queued)
			continue;
		fprintf(stderr,
			"signal %d: captured %" PRIu64 ", but exported %" PRIu64 ", lost %" PRIu64
			", queued %" PRIu64 "\n",
			signal, account.captured, account.exported, lost, account.queued);
		result = false;
	}
	return result;
}

uint64_t account_lost(struct sonde_agent *agent, enum sonde_loss reason)
{
	uint64_t lost = 0;

	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde_account account;

		if (sonde_agent_account(agent, 0, (enum sonde_signal)signal, &account) != SONDE_OK)
			return UINT64_MAX;
		lost += account.lost[reason];
	}
	return lost;
}

uint64_t account_lost_total(struct sonde_agent *agent)
{
	uint64_t lost = 0;

	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
		lost += account_lost(agent, (enum sonde_loss)reason);
	return lost;
}

bool account_is_lossless(struct sonde_agent *agent, int expected)
{
	bool result = true;

	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++) {
		uint64_t lost = account_lost(agent, (enum sonde_loss)reason);

		if (!lost || reason == expected)
			continue;
		fprintf(stderr, "%" PRIu64 " records were lost: %s\n", lost,
			sonde_loss_text((enum sonde_loss)reason));
		result = false;
	}
	return result;
}
