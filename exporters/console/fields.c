/* SPDX-License-Identifier: Apache-2.0 */
#include "console/fields.h"

#include <inttypes.h>
#include <string.h>

#define VALUE_SIZE_MAX 200
#define ARRAY_DEPTH_MAX 4
/* A number, a boolean or an array, for where to break a line. */
#define VALUE_COLUMNS 20

static bool is_equal(struct sonde_text text, const char *plain)
{
	return text.size == strlen(plain) && sonde__line_starts_with(text, plain);
}

bool sonde__fields_find(const struct fields *fields, const char *key, struct sonde_value_view *ret)
{
	struct sonde_item_view item;
	bool is_found = false;

	for (size_t i = 0; i < fields->n_pieces; i++) {
		struct sonde_bytes rest = fields->pieces[i];

		while (sonde_item_next(fields->kind, &rest, &item)) {
			if (item.type != SONDE_ITEM_ATTRIBUTE || !is_equal(item.name, key))
				continue;
			*ret = item.value;
			is_found = true;
		}
	}
	return is_found;
}

bool sonde__fields_find_text(const struct fields *fields, const char *key, struct sonde_text *ret)
{
	struct sonde_value_view value;

	if (!sonde__fields_find(fields, key, &value) || value.type != SONDE_VALUE_STR)
		return false;
	*ret = value.as.string;
	return true;
}

/* Cut between characters. */
static void put_string(struct text *text, struct sonde_text string)
{
	size_t size = string.size;

	if (size > VALUE_SIZE_MAX) {
		size = VALUE_SIZE_MAX;
		while (size && ((unsigned char)string.data[size] & 0xc0) == 0x80)
			size--;
	}
	sonde__line_put_captured(text, (struct sonde_text){ string.data, size });
	if (size < string.size)
		sonde__line_put(text, "…");
}

static void put_value(struct text *text, const struct sonde_value_view *value, int depth);

static void put_array(struct text *text, struct sonde_bytes elements, int depth)
{
	struct sonde_value_view element;
	const char *separator = "";

	sonde__line_put(text, "[");
	while (depth < ARRAY_DEPTH_MAX && sonde_value_next(&elements, &element)) {
		sonde__line_put(text, separator);
		put_value(text, &element, depth + 1);
		separator = ", ";
	}
	sonde__line_put(text, "]");
}

static void put_value(struct text *text, const struct sonde_value_view *value, int depth)
{
	switch (value->type) {
	case SONDE_VALUE_STR:
		put_string(text, value->as.string);
		break;
	case SONDE_VALUE_BOOL:
		sonde__line_put(text, value->as.boolean ? "true" : "false");
		break;
	case SONDE_VALUE_INT:
		sonde__line_format(text, "%" PRId64, value->as.integer);
		break;
	case SONDE_VALUE_DOUBLE:
		sonde__line_format(text, "%g", value->as.real);
		break;
	case SONDE_VALUE_BYTES:
		sonde__line_format(text, "(%zu bytes)", value->as.bytes.size);
		break;
	case SONDE_VALUE_ARRAY:
		put_array(text, value->as.array, depth);
		break;
	case SONDE_VALUE_EMPTY:
		break;
	}
}

static bool is_left_out(struct sonde_text key, const char *const *without)
{
	for (; without && *without; without++) {
		if (sonde__line_starts_with(key, *without))
			return true;
	}
	return false;
}

static void put_attribute(struct text *text, const struct sonde_item_view *item)
{
	sonde__line_style(text, STYLE_DIM);
	sonde__line_put_captured(text, item->name);
	sonde__line_put(text, "=");
	sonde__line_style(text, STYLE_PLAIN);
	put_value(text, &item->value, 0);
}

static size_t width_of(const struct sonde_item_view *item)
{
	size_t value = item->value.type == SONDE_VALUE_STR ? item->value.as.string.size
							   : VALUE_COLUMNS;

	return item->name.size + 1 + (value < VALUE_SIZE_MAX ? value : VALUE_SIZE_MAX);
}

void sonde__fields_put(struct text *text, const struct fields *fields, const char *const *without,
		       const struct margin *margin)
{
	struct sonde_item_view item;
	bool has_line = false;

	for (size_t i = 0; i < fields->n_pieces; i++) {
		struct sonde_bytes rest = fields->pieces[i];

		while (sonde_item_next(fields->kind, &rest, &item)) {
			if (item.type != SONDE_ITEM_ATTRIBUTE || is_left_out(item.name, without))
				continue;
			if (has_line && text->column + 2 + width_of(&item) > LINE_COLUMNS) {
				sonde__line_put(text, "\n");
				has_line = false;
			}
			if (!has_line)
				margin->put(text, margin->user);
			else
				sonde__line_put(text, "  ");
			has_line = true;
			put_attribute(text, &item);
		}
	}
	if (has_line)
		sonde__line_put(text, "\n");
}

/* "(checkout, build-id 3f2a…, +0x4a1c)" is for machines: people get "(checkout, +0x4a1c)". */
static void put_frame(struct text *text, struct sonde_text line)
{
	static const char mark[] = ", build-id ";
	const char *from = memmem(line.data, line.size, mark, sizeof(mark) - 1);
	size_t head = from ? (size_t)(from - line.data) : line.size;
	const char *to = from ? memchr(from + 1, ',', line.size - head - 1) : NULL;

	sonde__line_style(text, STYLE_DIM);
	if (!to) {
		sonde__line_put_captured(text, line);
	} else {
		sonde__line_put_captured(text, (struct sonde_text){ line.data, head });
		sonde__line_put_captured(
			text, (struct sonde_text){ to, line.size - (size_t)(to - line.data) });
	}
	sonde__line_style(text, STYLE_PLAIN);
}

static void put_stack(struct text *text, struct sonde_text stack, enum stack_detail detail,
		      const struct margin *margin)
{
	struct sonde_text line;

	while (sonde__line_next(&stack, &line)) {
		bool is_frame = sonde__line_starts_with(line, "#");

		if ((is_frame || sonde__line_starts_with(line, "    | ")) &&
		    detail != STACK_FRAMES)
			continue;
		margin->put(text, margin->user);
		if (is_frame)
			put_frame(text, line);
		else
			sonde__line_put_captured(text, line);
		sonde__line_put(text, "\n");
	}
}

/* What the thread did before, a line each: the way a log is read. */
static void put_breadcrumbs(struct text *text, const struct fields *fields,
			    const struct margin *margin)
{
	struct sonde_value_view crumbs;
	struct sonde_value_view crumb;

	if (!sonde__fields_find(fields, "sonde.breadcrumbs", &crumbs) ||
	    crumbs.type != SONDE_VALUE_ARRAY)
		return;
	while (sonde_value_next(&crumbs.as.array, &crumb)) {
		margin->put(text, margin->user);
		sonde__line_style(text, STYLE_DIM);
		sonde__line_put(text, "· ");
		put_value(text, &crumb, /* depth= */ 1);
		sonde__line_style(text, STYLE_PLAIN);
		sonde__line_put(text, "\n");
	}
}

/* A stack as sonde writes it begins with the error itself and its place: the better headline. */
void sonde__fields_put_error(struct text *text, const struct fields *fields, enum style style,
			     enum stack_detail detail, const struct margin *margin)
{
	static const struct sonde_text none = { "", 0 };
	struct sonde_text type = none, message = none, stack = none, line;

	sonde__fields_find_text(fields, "exception.type", &type);
	sonde__fields_find_text(fields, "exception.message", &message);
	sonde__fields_find_text(fields, "exception.stacktrace", &stack);
	sonde__line_style(text, style);
	if (type.size && stack.size > type.size && !memcmp(stack.data, type.data, type.size) &&
	    stack.data[type.size] == ':' && sonde__line_next(&stack, &line)) {
		sonde__line_put_captured(text, line);
	} else {
		sonde__line_put_captured(text, type);
		sonde__line_put(text, type.size && message.size ? ": " : "");
		sonde__line_put_captured(text, message);
	}
	sonde__line_style(text, STYLE_PLAIN);
	sonde__line_put(text, "\n");
	put_stack(text, stack, detail, margin);
	if (detail == STACK_FRAMES)
		put_breadcrumbs(text, fields, margin);
}
