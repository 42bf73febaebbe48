/* SPDX-License-Identifier: Apache-2.0 */
/* Two arrays that fill at the end and are compacted after each step of a drain. */

#include "pipeline/intake.h"

#include <stdlib.h>

int sonde__intake_init(struct sonde__intake *intake, size_t capacity)
{
	*intake = (struct sonde__intake){
		.refs = malloc(capacity * sizeof(*intake->refs)),
		.passes = malloc(capacity * sizeof(*intake->passes)),
		.capacity = capacity,
	};
	return intake->refs && intake->passes ? SONDE_OK : SONDE_E_NOMEM;
}

void sonde__intake_deinit(struct sonde__intake *intake)
{
	free(intake->refs);
	free(intake->passes);
	*intake = (struct sonde__intake){ 0 };
}

static void take_note(struct sonde__intake *intake, size_t n)
{
	for (size_t i = intake->n; i < intake->n + n; i++) {
		uint8_t type = intake->refs[i].record->type;

		intake->passes[i] = intake->pass;
		intake->n_logs += type == SONDE__RECORD_LOG || type == SONDE__RECORD_ERROR;
		intake->has_error |= type == SONDE__RECORD_ERROR;
		intake->has_again |= type == SONDE__RECORD_AGAIN;
	}
	intake->n += n;
}

bool sonde__intake_pass(struct sonde__intake *intake)
{
	bool is_complete = false;
	size_t n;

	if (intake->pass == intake->n_complete)
		intake->pass++;
	do {
		if (intake->n == intake->capacity)
			return false;
		n = sonde__box_collect(intake->refs + intake->n, intake->capacity - intake->n,
				       &is_complete);
		take_note(intake, n);
	} while (!is_complete && n > 0);
	if (is_complete)
		intake->n_complete = intake->pass;
	return is_complete;
}

static void settle(struct sonde__intake *intake, size_t n)
{
	for (size_t i = 0; i < n; i++)
		intake->passes[i] = intake->n_complete - 1;
}

void sonde__intake_settle_half(struct sonde__intake *intake)
{
	settle(intake, intake->n - intake->n / 2);
}

void sonde__intake_settle_all(struct sonde__intake *intake)
{
	settle(intake, intake->n);
}

void sonde__intake_compact(struct sonde__intake *intake)
{
	size_t n_scanned = intake->n_scanned;
	size_t kept = 0;

	for (size_t i = 0; i < intake->n; i++) {
		if (!intake->refs[i].record) {
			n_scanned -= i < intake->n_scanned;
			continue;
		}
		intake->refs[kept] = intake->refs[i];
		intake->passes[kept] = intake->passes[i];
		kept++;
	}
	intake->n = kept;
	intake->n_scanned = n_scanned;
}
