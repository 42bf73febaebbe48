/* SPDX-License-Identifier: Apache-2.0 */
#include "record/hide.h"

#include "record/attribute.h"
#include "redact/suspect.h"

enum sonde__key_verdict sonde__hide_key(const struct sonde__mender *mender, struct sonde_bytes key,
					bool *ret_tells)
{
	struct sonde__redactor *redactor = mender->redactor;
	uint64_t hash;

	*ret_tells = false;
	if (!redactor || !key.size)
		return SONDE__KEY_PLAIN;
	hash = sonde__key_hash64(key.data, key.size);
	if (sonde__redact_knows_key(redactor, hash))
		return SONDE__KEY_PLAIN;
	return sonde__redact_key_learn(redactor, key.data, key.size, hash, ret_tells);
}

static bool is_replaced(struct sonde__cursor any)
{
	static const char by[] = SONDE__REDACTED;
	struct sonde__cursor text;

	return sonde__tag_take(&any, SONDE__TAG_ANY_STRING) && sonde__bytes_take(&any, &text) &&
	       (text.at == text.end ||
		(sonde__cursor_left(&text) == sizeof(by) - 1 &&
		 memcmp(text.at, by, sizeof(by) - 1) == 0));
}

bool sonde__hide_value(const struct sonde__mender *mender, enum sonde__key_verdict verdict,
		       struct sonde__cursor any, enum sonde_redaction *ret_kind)
{
	uint64_t number;

	if (verdict == SONDE__KEY_SECRET) {
		*ret_kind = SONDE_REDACTION_KEY;
		return any.at != any.end && *any.at != SONDE__TAG_ANY_BOOL && !is_replaced(any);
	}
	*ret_kind = SONDE_REDACTION_CARD;
	return mender->redactor && verdict == SONDE__KEY_PLAIN &&
	       sonde__tag_take(&any, SONDE__TAG_ANY_INT) &&
	       sonde__varint_take(&any, UINT64_MAX, &number) &&
	       sonde__redact_number(mender->redactor, (int64_t)number);
}
