/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of a context as a list of encoded attributes, each padded to whole words, in chunks
 * that stand one on the other (values_table.c).
 *
 * A key that is set again is written again, and the later one counts. Where that fills a scope's
 * chunks with what does not count any more they are written anew without it, at a cost that the
 * sets since the last time have paid for; and so they are where they have become too many. Before
 * that a scope of many values only takes one more.
 */

#include <string.h>

#include "base/compiler.h"
#include "base/utf8.h"
#include "context/values_table.h"
#include "record/attribute.h"
#include "record/varint.h"

#define CHUNK_WORDS (SONDE__VALUES_CHUNK_SIZE / sizeof(uint64_t))
#define LIST_WORDS (SONDE__VALUES_DEPTH * CHUNK_WORDS)

/* What a reference stands on, and that, and so on. */
struct chain {
	uint64_t references[SONDE__VALUES_DEPTH]; /* The innermost first; */
	size_t n;
	size_t n_own; /* of these the running scope's own. */
	uint64_t base; /* What the running scope stands on. */
};

/* A context's fields in private memory, the outermost first. */
struct list {
	struct chain chain;
	uint64_t words[LIST_WORDS];
	size_t n_words;
};

/* ---- Fields ---------------------------------------------------------------------------------- */

/* A field's size without its padding; 0: none begins here. */
static size_t field_size(const uint64_t *words, size_t n)
{
	const uint8_t *at = (const uint8_t *)words;
	const uint8_t *end = at + n * sizeof(uint64_t);
	uint64_t size;

	if (!n || *at++ != SONDE__TAG_LOG_ATTRIBUTE || !sonde__varint_get(&at, end, &size) ||
	    size > (size_t)(end - at))
		return 0;
	return (size_t)(at - (const uint8_t *)words) + (size_t)size;
}

static size_t words_of(size_t size)
{
	return (size + sizeof(uint64_t) - 1) / sizeof(uint64_t);
}

/* The key of a field that is there. */
static struct sonde_text field_key(const uint64_t *words, size_t size)
{
	const uint8_t *at = (const uint8_t *)words + 1;
	const uint8_t *end = (const uint8_t *)words + size;
	struct sonde_text none = { "", 0 };
	uint64_t length;

	if (!sonde__varint_get(&at, end, &length) || at == end || *at++ != SONDE__TAG_KEY ||
	    !sonde__varint_get(&at, end, &length) || length > (size_t)(end - at))
		return none;
	return (struct sonde_text){ (const char *)at, (size_t)length };
}

static bool has_key(const uint64_t *words, size_t n, struct sonde_text key)
{
	size_t size;

	for (size_t i = 0; (size = field_size(words + i, n - i)); i += words_of(size)) {
		struct sonde_text other = field_key(words + i, size);

		if (other.size == key.size && !memcmp(other.data, key.data, key.size))
			return true;
	}
	return false;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

/* Follows the references to the outermost; where one is gone so is what it stood on. */
static void chain_follow(struct chain *chain, uint64_t reference)
{
	chain->n = chain->n_own = 0;
	chain->base = reference;
	while (chain->n < SONDE__VALUES_DEPTH && sonde__values_are_some(reference)) {
		const uint64_t parent = sonde__values_parent(reference);

		chain->references[chain->n++] = reference;
		if (chain->n_own == chain->n - 1 && !(reference & SONDE__VALUES_SEALED)) {
			chain->n_own++;
			chain->base = parent;
		}
		reference = parent;
	}
}

/* Reads the innermost `n` chunks of the chain. */
static void list_read(struct list *list, size_t n)
{
	list->n_words = 0;
	while (n-- > 0) {
		size_t size = sonde__values_copy(list->chain.references[n],
						 list->words + list->n_words);

		list->n_words += size / sizeof(uint64_t);
		if (!size)
			sonde__values_lose();
	}
}

/* Leaves out what is set again further in, or by `field`. */
static void list_drop_repeated(struct list *list, const uint64_t *field, size_t n_field)
{
	size_t kept = 0;
	size_t next;
	size_t size;

	for (size_t i = 0; (size = field_size(list->words + i, list->n_words - i)); i = next) {
		struct sonde_text key = field_key(list->words + i, size);

		next = i + words_of(size);
		if (has_key(field, n_field, key) ||
		    has_key(list->words + next, list->n_words - next, key))
			continue;
		memmove(list->words + kept, list->words + i, (next - i) * sizeof(uint64_t));
		kept += next - i;
	}
	list->n_words = kept;
}

static bool put(uint64_t reference, const uint64_t *field, size_t n, uint64_t *ret)
{
	return sonde__values_append(reference, field, n, ret) ||
	       sonde__values_begin(reference, field, n, ret);
}

/* Writes the list anew on top of `base`, and then the field. */
static bool list_write(const struct list *list, uint64_t base, const uint64_t *field, size_t n,
		       uint64_t *ret)
{
	uint64_t reference = sonde__values_seal(base);
	size_t size;

	for (size_t i = 0; (size = field_size(list->words + i, list->n_words - i));
	     i += words_of(size))
		if (!put(reference, list->words + i, words_of(size), &reference))
			break;
	if (size || !put(reference, field, n, &reference)) {
		sonde__values_release(reference, base);
		return false;
	}
	*ret = reference;
	return true;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

/*
 * Of two chunks in a row what is in the one and begins the other is more than one chunk; so a list
 * of half the size of n chunks goes into n.
 */
static bool rewrite(const struct list *list, uint64_t reference, uint64_t base,
		    const uint64_t *field, size_t n, uint64_t *ret)
{
	if (!list_write(list, base, field, n, ret))
		return false;
	/* Only now: what was read is in the new ones. */
	if (list->chain.n_own)
		sonde__values_release(reference, list->chain.base);
	return true;
}

/* The scope's own chunks are full, or it has none. */
static __attribute__((noinline)) uint64_t add_slowly(uint64_t reference, const uint64_t *field,
						     size_t n)
{
	struct list list;
	uint64_t longer;

	chain_follow(&list.chain, reference);
	/* Full, not written behind by somebody who came between: then others need it. */
	if (list.chain.n_own && n > sonde__values_room(reference)) {
		list_read(&list, list.chain.n_own);
		list_drop_repeated(&list, field, n);
		if (list.n_words + n <= list.chain.n_own * CHUNK_WORDS / 2 &&
		    rewrite(&list, reference, list.chain.base, field, n, &longer))
			return longer;
	}
	if (list.chain.n < SONDE__VALUES_DEPTH &&
	    sonde__values_begin(reference, field, n, &longer))
		return longer;
	list_read(&list, list.chain.n);
	list_drop_repeated(&list, field, n);
	if (list.chain.n == SONDE__VALUES_DEPTH &&
	    list.n_words + n <= SONDE__VALUES_DEPTH * CHUNK_WORDS / 2 &&
	    rewrite(&list, reference, /* base= */ 0, field, n, &longer))
		return longer;
	sonde__values_lose();
	return reference;
}

static SONDE__ALWAYS_INLINE uint64_t add(uint64_t reference, uint64_t *field, size_t size)
{
	const size_t n = words_of(size);
	uint64_t longer;

	memset((uint8_t *)field + size, 0, n * sizeof(uint64_t) - size);
	if (SONDE__LIKELY(sonde__values_append(reference, field, n, &longer)))
		return longer;
	if (!sonde__values_are_some(reference) && sonde__values_begin(0, field, n, &longer))
		return longer;
	return add_slowly(reference, field, n);
}

/* Bytes around key and text at most: four tags, and lengths of two bytes each. */
#define FIELD_OVERHEAD 12
#define CUT_MARK "…"

/*
 * A text that is too long by far: marked where it was cut, for half a secret to be known for one.
 * 0: the key leaves no room for that.
 */
static SONDE__COLD size_t text_put_cut(const struct sonde_attr *attr, uint64_t field[CHUNK_WORDS])
{
	const size_t mark_size = sizeof(CUT_MARK) - 1;
	const size_t around = FIELD_OVERHEAD + sonde__attr_key_size(attr) + mark_size;
	char text[SONDE__VALUES_CHUNK_SIZE];
	size_t size;

	if (around >= sizeof(text))
		return 0;
	size = sonde__utf8_cut(attr->value.string, attr->size, sizeof(text) - around);
	memcpy(text, attr->value.string, size);
	memcpy(text + size, CUT_MARK, mark_size);
	return sonde__attr_put_str(SONDE__TAG_LOG_ATTRIBUTE, attr->key, sonde__attr_key_size(attr),
				   text, size + mark_size, (uint8_t *)field, sizeof(text));
}

uint64_t sonde__values_add(uint64_t reference, const struct sonde_attr *attr)
{
	uint64_t field[CHUNK_WORDS];
	bool cut = false;
	size_t size;

	if (!sonde__attr_key_size(attr))
		return reference;
	size = sonde__attr_encode_cut(SONDE__TAG_LOG_ATTRIBUTE, attr, (uint8_t *)field,
				      sizeof(field), &cut);
	if (cut && attr->type == SONDE_ATTR_STR)
		size = text_put_cut(attr, field);
	if (size)
		return add(reference, field, size);
	sonde__values_lose();
	return reference;
}

uint64_t sonde__values_add_text(uint64_t reference, const char *key, size_t key_size,
				const char *value, size_t size)
{
	uint64_t field[CHUNK_WORDS];
	size_t used = sonde__attr_put_str(SONDE__TAG_LOG_ATTRIBUTE, key, key_size, value, size,
					  (uint8_t *)field, sizeof(field));
	struct sonde_attr attr;

	if (SONDE__LIKELY(used && key_size))
		return add(reference, field, used);
	attr = sonde_strn(key, value, size);
	return sonde__values_add(reference, &attr);
}

/* ---- Reading --------------------------------------------------------------------------------- */

size_t sonde__values_read(uint64_t reference, uint8_t ret[SONDE__VALUES_MAX_SIZE])
{
	uint64_t words[CHUNK_WORDS];
	struct chain chain;
	size_t used = 0;
	size_t size;

	if (!sonde__values_are_some(reference))
		return 0;
	chain_follow(&chain, reference);
	/* Chunk by chunk: the caller may be a signal handler on a small stack. */
	while (chain.n-- > 0) {
		size_t n = sonde__values_copy(chain.references[chain.n], words) / sizeof(words[0]);

		if (!n)
			sonde__values_lose();
		for (size_t i = 0; (size = field_size(words + i, n - i)); i += words_of(size)) {
			memcpy(ret + used, words + i, size);
			used += size;
		}
	}
	return used;
}
