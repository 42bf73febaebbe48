/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as fuzz_record has them, behind a byte that it needs and we do not: what passes the check
 * has a fingerprint, the same each time, whatever its addresses, its format and its texts are.
 */
#include <sonde/fingerprint.h>

#include "pipeline/fingerprint.h"
#include "record/check.h"
#include "record/view.h"
#include "target.h"

static struct sonde__fingerprinter fingerprinter;
static uint64_t sum;

/* Reads all that it is shown. */
static const char *read_all(void *user, const struct sonde_fingerprint_view *error)
{
	(void)user;
	CHECK(error->n_links > 0 && error->fingerprint != 0);
	for (size_t i = 0; i < error->n_links; i++) {
		const struct sonde_fingerprint_link *link = &error->links[i];

		for (const char *at = link->type.data; at < link->function.data; at++)
			sum += (uint8_t)*at;
		for (size_t k = 0; k < link->function.size; k++)
			sum += (uint8_t)link->function.data[k];
	}
	for (size_t i = 0; i < error->n_frames; i++)
		sum += error->frames[i].function.size + error->frames[i].module.size;
	return sum % 2 ? "x {{ default }}" : NULL;
}

static void check(const struct sonde__error_record *record)
{
	uint64_t first;
	struct sonde_text text = { NULL, 0 };

	sonde__fingerprinter_init(&fingerprinter, /* hook= */ NULL, /* user= */ NULL);
	first = sonde__fingerprint_of(&fingerprinter, record);
	CHECK(first != 0);
	CHECK(sonde__fingerprint_of(&fingerprinter, record) == first);
	sonde__fingerprinter_init(&fingerprinter, /* hook= */ NULL, /* user= */ NULL);
	CHECK(sonde__fingerprint_of(&fingerprinter, record) == first);
	sonde__fingerprinter_init(&fingerprinter, read_all, /* user= */ NULL);
	CHECK(sonde__fingerprint_of(&fingerprinter, record) != 0);
	if (sonde__fingerprint_text(record, &text))
		CHECK(text.data >= (const char *)record &&
		      text.data + text.size <= (const char *)record + record->head.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sonde__record *record;

	if (size < 2)
		return 0;
	data++;
	size--;
	record = aligned_alloc(8, (size + 8) & ~(size_t)7);
	CHECK(record);
	memcpy(record, data, size);
	if (sonde__record_is_valid(record, size) && record->type == SONDE__RECORD_ERROR)
		check((const void *)record);
	free(record);
	return 0;
}
