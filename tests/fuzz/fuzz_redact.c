/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text through the detectors: what is written is as long as was measured and no longer than
 * mending has room for, UTF-8 stays UTF-8, and what was redacted once has nothing left to redact
 * but where removing one thing has shown another. The first byte chooses the detectors, and with
 * its highest bit whether the text was cut.
 */

#include "base/utf8.h"
#include "redact/redact.h"
#include "redact/suspect.h"

#include "target.h"

static const char *const choices[] = { "cards", "tokens", "urls", "pairs", "email", "all" };

static void check_text(const struct sonde__redactor *redactor, struct sonde_text text)
{
	struct sonde__redact_counts counts = { { 0 } };
	struct sonde__match match = { 0 };
	size_t size;
	size_t done = 0;
	char *out;

	while (sonde__redact_next(redactor, text, SONDE__KEY_PLAIN, done, &match)) {
		CHECK(match.from >= done && match.to > match.from && match.to <= text.size);
		CHECK(redactor->is_cut || sonde__suspect(text.data, text.size));
		done = match.to;
	}
	if (!sonde__redact_measure(redactor, text, SONDE__KEY_PLAIN, &size)) {
		CHECK(!done);
		return;
	}
	CHECK(size <= 4 * text.size + (redactor->is_cut ? sizeof(SONDE__REDACTED) : 0));
	out = malloc(size ? size : 1);
	CHECK(out);
	CHECK(sonde__redact_write(redactor, text, SONDE__KEY_PLAIN, out, &counts) == size);
	if (sonde__utf8_is_valid(text.data, text.size))
		CHECK(sonde__utf8_is_valid(out, size));
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sonde__redactor redactor;
	/* At the end of a block of its own, where a read past it is seen. */
	uint8_t *exact;

	if (!size)
		return 0;
	CHECK(sonde__redactor_init(
		      &redactor, /* keys= */ NULL,
		      choices[(data[0] & 0x7f) % (sizeof(choices) / sizeof(choices[0]))],
		      /* report= */ NULL, /* user= */ NULL) == 0);
	redactor.is_cut = data[0] & 0x80;
	exact = malloc(size);
	CHECK(exact);
	memcpy(exact, data + 1, size - 1);
	check_text(&redactor, (struct sonde_text){ (const char *)exact, size - 1 });
	free(exact);
	sonde__redactor_deinit(&redactor);
	return 0;
}
