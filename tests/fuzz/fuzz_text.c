/* SPDX-License-Identifier: Apache-2.0 */
/* Values from the environment: numbers, sizes, lists of pairs, escapes; and UTF-8. */

#include <math.h>

#include "base/text.h"
#include "target.h"

static void check_numbers(const char *text)
{
	uint64_t integer = 77;
	double real = 77;
	char back[32];

	if (sonde__parse_uint(text, &integer)) {
		snprintf(back, sizeof(back), "%llu", (unsigned long long)integer);
		CHECK(strcmp(text + strspn(text, "0") - (integer == 0), back) == 0);
		CHECK(sonde__parse_size(text, &integer));
	} else {
		CHECK(integer == 77);
	}
	sonde__parse_size(text, &integer);
	if (sonde__parse_double(text, &real)) {
		double expected = strtod(text, NULL);

		CHECK(isfinite(real));
		CHECK(fabs(real - expected) <= fabs(expected) * 1e-13 || fabs(expected) < 1e-290);
	} else {
		CHECK(real == 77);
	}
}

static void check_pairs(const char *text, size_t size)
{
	char *scratch = malloc(size + 1);
	const char *rest = text;
	struct sonde__pair pair;
	int r;

	CHECK(scratch);
	while ((r = sonde__pair_next(&rest, scratch, &pair)) != 0) {
		CHECK(rest > text && rest <= text + size);
		if (r < 0)
			continue;
		CHECK(pair.key.size > 0);
		CHECK(pair.key.data >= scratch && pair.key.data + pair.key.size <= scratch + size);
		CHECK(pair.value.data >= scratch &&
		      pair.value.data + pair.value.size <= scratch + size);
	}
	CHECK(rest == text + size);
	free(scratch);
}

static void check_utf8(const uint8_t *data, size_t size)
{
	char *repaired = malloc(3 * size + 1);
	size_t length = sonde__utf8_repair(data, size, repaired);
	size_t prefix = sonde__utf8_valid_prefix(data, size);

	CHECK(repaired && length <= 3 * size);
	CHECK(sonde__utf8_is_valid(repaired, length));
	CHECK(prefix <= size && sonde__utf8_is_valid(data, prefix));
	CHECK(memcmp(repaired, data, prefix) == 0);
	for (size_t limit = 0; limit < length && limit < 40; limit++) {
		CHECK(sonde__utf8_cut(repaired, length, limit) <= limit);
		CHECK(sonde__utf8_is_valid(repaired, sonde__utf8_cut(repaired, length, limit)));
		CHECK(sonde__utf8_is_valid(repaired,
					   sonde__utf8_cut_characters(repaired, length, limit)));
	}
	free(repaired);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_new(data, size);
	char *decoded = malloc(size + 1);
	size_t decoded_size;

	CHECK(decoded);
	check_numbers(text);
	check_pairs(text, strlen(text));
	if (sonde__percent_decode(text, size, decoded, &decoded_size) == SONDE_OK)
		CHECK(decoded_size <= size);
	if (size)
		check_utf8(data, size);
	free(decoded);
	free(text);
	return 0;
}
