/* SPDX-License-Identifier: Apache-2.0 */
/*
 * W3C tracestate: a list of members "key=value", parsed whole before anything is kept. It is other
 * vendors' data: never changed, passed on in order, and dropped whole where it breaks the grammar,
 * because half of a list that was not understood is not known to mean anything.
 *
 * A text longer than SONDE_TRACESTATE_LENGTH, which is what everybody must carry, loses whole
 * members: first those of more than 128 characters, the rightmost (oldest) first, then any from the
 * right.
 */

#include "context/context.h"

#include <string.h>

#define MEMBERS_MAX 32
#define KEY_MAX 256
#define VALUE_MAX 256
#define LARGE_MEMBER 128

struct member {
	const char *text;
	uint16_t size;
	uint16_t key_size;
};

struct members {
	struct member list[MEMBERS_MAX];
	size_t n;
	size_t size; /* Of all, with a comma between two. */
};

static bool is_white(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_key_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_key_char(char c)
{
	return is_key_start(c) || c == '_' || c == '-' || c == '*' || c == '/' || c == '@';
}

static bool is_value_char(char c)
{
	return c >= 0x20 && c <= 0x7e && c != ',' && c != '=';
}

/* `text` has no white space around it and is not empty. */
static bool parse_member(const char *text, size_t size, struct member *ret)
{
	size_t key_size = 0;
	size_t value_size;

	while (key_size < size && is_key_char(text[key_size]))
		key_size++;
	if (key_size == 0 || key_size > KEY_MAX || !is_key_start(text[0]))
		return false;
	if (key_size == size || text[key_size] != '=')
		return false;
	value_size = size - key_size - 1;
	if (value_size == 0 || value_size > VALUE_MAX)
		return false;
	for (size_t i = key_size + 1; i < size; i++)
		if (!is_value_char(text[i]))
			return false;
	*ret = (struct member){ .text = text,
				.size = (uint16_t)size,
				.key_size = (uint16_t)key_size };
	return true;
}

static bool has_key(const struct members *members, const struct member *wanted)
{
	for (size_t i = 0; i < members->n; i++) {
		const struct member *member = &members->list[i];

		if (member->key_size == wanted->key_size &&
		    !memcmp(member->text, wanted->text, wanted->key_size))
			return true;
	}
	return false;
}

static bool parse_members(const char *text, struct members *ret)
{
	while (*text) {
		size_t size = strcspn(text, ",");
		const char *next = text + size + (text[size] == ',');
		struct member member;

		for (; size && is_white(*text); size--)
			text++;
		while (size && is_white(text[size - 1]))
			size--;
		if (size) {
			if (ret->n == MEMBERS_MAX || !parse_member(text, size, &member) ||
			    has_key(ret, &member))
				return false;
			ret->size += member.size + (ret->n ? 1 : 0);
			ret->list[ret->n++] = member;
		}
		text = next;
	}
	return true;
}

static void remove_member(struct members *members, size_t index)
{
	members->size -= members->list[index].size + (members->n > 1 ? 1 : 0);
	members->n--;
	memmove(&members->list[index], &members->list[index + 1],
		(members->n - index) * sizeof(members->list[0]));
}

static void trim(struct members *members)
{
	for (size_t i = members->n; i-- > 0 && members->size > SONDE_TRACESTATE_LENGTH;)
		if (members->list[i].size > LARGE_MEMBER)
			remove_member(members, i);
	while (members->size > SONDE_TRACESTATE_LENGTH)
		remove_member(members, members->n - 1);
}

int sonde__tracestate_parse(const char *text, char ret[SONDE_TRACESTATE_LENGTH], size_t *ret_size)
{
	struct members members;
	size_t size = 0;

	members.n = 0;
	members.size = 0;
	if (!parse_members(text, &members))
		return SONDE_E_MALFORMED;
	trim(&members);
	for (size_t i = 0; i < members.n; i++) {
		if (i)
			ret[size++] = ',';
		memcpy(ret + size, members.list[i].text, members.list[i].size);
		size += members.list[i].size;
	}
	*ret_size = size;
	return SONDE_OK;
}
