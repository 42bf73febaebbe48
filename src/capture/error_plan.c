/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain, or a tree of joined errors, may be more than a record can be: then the links past what
 * fits are left out but for the root cause, because the outermost errors say what failed and the
 * root cause why.
 */

#include "capture/error_plan.h"

#include <string.h>

#include "base/utf8.h"
#include "box/box.h"
#include "record/varint.h"

#define ROOM (SONDE__RECORD_MAX_SIZE - sizeof(struct sonde__error_record))
#define PLACE_SIZE 255
#define LINKS_ROOM (ROOM * 3 / 4)

static size_t link_size(const struct sonde__error_plan_link *link)
{
	size_t size = sizeof(struct sonde__error_link) + link->type_size + link->message_size +
		      link->detail_size + link->file_size + link->function_size;

	return (size + 7) & ~(size_t)7;
}

/* Of a text that is the caller's, as much as is good for a place. */
static uint16_t text_size(const char *text)
{
	return text ? (uint16_t)sonde__utf8_cut(text, strnlen(text, PLACE_SIZE + 1), PLACE_SIZE) :
		      0;
}

/* Objects hold texts of bounded size. */
static void link_measure(const struct sonde_error *error, struct sonde__error_plan_link *ret)
{
	ret->error = error;
	ret->place = NULL;
	ret->has_attributes = false;
	ret->type_size = (uint16_t)strlen(sonde__error_type_name(error));
	ret->message_size = (uint16_t)strlen(sonde_error_message(error));
	ret->detail_size = (uint16_t)strlen(sonde_error_detail(error));
	ret->file_size = (uint16_t)strlen(sonde_error_file(error));
	ret->function_size = (uint16_t)strlen(sonde_error_function(error));
}

/* Takes the link in, if it is the root cause's, whose room is kept, or has room; else false. */
static bool link_take(struct sonde__error_plan *plan, const struct sonde__error_plan_link *link,
		      bool keeps_room)
{
	const bool is_root = link->flags & SONDE__LINK_HAS_FRAMES;

	if (!is_root && (plan->is_cut || plan->links_size + link_size(link) > LINKS_ROOM ||
			 plan->n_links + keeps_room >= SONDE__ERROR_PLAN_LINKS))
		return false;
	if (!is_root)
		plan->links_size += link_size(link);
	plan->links[plan->n_links++] = *link;
	return true;
}

static void links_plan(struct sonde__error_plan *plan, const struct sonde_error *error)
{
	const struct sonde_error *root = sonde__error_root(error);
	struct sonde__error_walk walk = { .next = error };
	struct sonde__error_plan_link link;

	link_measure(root, &link);
	plan->links_size = link_size(&link);
	while ((error = sonde__error_walk(&walk)) != NULL && (root || !plan->is_cut)) {
		const bool is_root = error == root;

		link_measure(error, &link);
		link.level = walk.level;
		link.flags = (uint8_t)((walk.is_joined ? SONDE__LINK_JOINED : 0) |
				       (is_root ? SONDE__LINK_HAS_FRAMES : 0));
		if (!link_take(plan, &link, /* keeps_room= */ root != NULL))
			plan->is_cut = true;
		if (is_root)
			root = NULL;
	}
}

static uint32_t attributes_count(struct sonde_bytes fields)
{
	const uint8_t *at = fields.data;
	const uint8_t *end = at + fields.size;
	uint32_t n = 0;
	uint64_t size;

	/* Encoded by ourselves: a tag of one byte, a length, a body. */
	while (at < end) {
		at++;
		if (!sonde__varint_get(&at, end, &size))
			break;
		at += size;
		n++;
	}
	return n;
}

static struct sonde_bytes values_of(const struct sonde__error_plan *plan)
{
	return (struct sonde_bytes){ plan->values, plan->values_size };
}

/*
 * Every error's attributes as far as they fit; from the root outwards, so that the outermost count;
 * and the context's values if there is room.
 */
static void attributes_plan(struct sonde__error_plan *plan)
{
	size_t room = ROOM - plan->links_size - plan->n_frames * sizeof(uint64_t);

	for (size_t i = plan->n_links; i-- > 0;) {
		uint16_t n_dropped = 0;
		struct sonde_bytes fields = sonde__error_attributes(plan->links[i].error,
								    &n_dropped);

		plan->n_dropped += n_dropped;
		plan->links[i].has_attributes = fields.size <= room - plan->fields_size;
		if (plan->links[i].has_attributes)
			plan->fields_size += fields.size;
		else
			plan->n_dropped += attributes_count(fields);
	}
	if (plan->values_size > room - plan->fields_size) {
		plan->n_dropped += attributes_count(values_of(plan));
		plan->values_size = 0;
	}
	plan->fields_size += plan->values_size;
}

void sonde__error_plan_drop_fields(struct sonde__error_plan *plan)
{
	for (size_t i = 0; i < plan->n_links; i++) {
		uint16_t n_dropped;

		if (plan->links[i].has_attributes)
			plan->n_dropped += attributes_count(
				sonde__error_attributes(plan->links[i].error, &n_dropped));
		plan->links[i].has_attributes = false;
	}
	plan->n_dropped += attributes_count(values_of(plan));
	plan->values_size = 0;
	plan->fields_size = 0;
}

size_t sonde__error_plan_make(struct sonde__error_plan *plan, const struct sonde_error *error)
{
	plan->n_links = plan->fields_size = 0;
	plan->n_dropped = 0;
	plan->is_cut = false;
	plan->n_frames = sonde__error_frames(sonde__error_root(error), &plan->frames);
	plan->values_size = sonde__values_read(sonde__context_current()->extension2, plan->values);
	links_plan(plan, error);
	attributes_plan(plan);
	return plan->links_size + plan->n_frames * sizeof(uint64_t) + plan->fields_size;
}

size_t sonde__error_plan_again(struct sonde__error_plan *plan, const struct sonde_error *error,
			       size_t n_new, const struct sonde__place *place)
{
	plan->n_links = plan->links_size = plan->fields_size = plan->values_size = 0;
	plan->n_frames = 0;
	plan->n_dropped = 0;
	plan->is_cut = false;
	for (; error && plan->n_links < (n_new ? n_new : 1); error = sonde_error_cause(error)) {
		struct sonde__error_plan_link *link = &plan->links[plan->n_links++];

		link_measure(error, link);
		link->level = link->flags = 0;
		if (!n_new && place) {
			link->place = place;
			link->file_size = text_size(place->file);
			link->function_size = text_size(place->function);
		}
		plan->links_size += link_size(link);
	}
	return plan->links_size;
}

static uint8_t *link_put(uint8_t *at, const struct sonde__error_plan_link *link)
{
	const struct sonde_error *error = link->error;
	const struct sonde__place raised = { .file = sonde_error_file(error),
					     .function = sonde_error_function(error),
					     .line = sonde_error_line(error) };
	const struct sonde__place *place = link->place ? link->place : &raised;
	struct sonde__error_link head = {
		.line = (uint32_t)place->line,
		.errno_value = (uint32_t)sonde__error_said_errno(error),
		.n_omitted = sonde__error_n_omitted(error),
		.type_size = link->type_size,
		.message_size = link->message_size,
		.detail_size = link->detail_size,
		.file_size = link->file_size,
		.function_size = link->function_size,
		.level = link->level,
		.flags = link->flags,
	};
	uint8_t *end = at + link_size(link);

	at = sonde__bytes_put(at, &head, sizeof(head));
	at = sonde__bytes_put(at, sonde__error_type_name(error), link->type_size);
	at = sonde__bytes_put(at, sonde_error_message(error), link->message_size);
	at = sonde__bytes_put(at, sonde_error_detail(error), link->detail_size);
	at = sonde__bytes_put(at, place->file, link->file_size);
	at = sonde__bytes_put(at, place->function, link->function_size);
	memset(at, 0, (size_t)(end - at));
	return end;
}

void sonde__error_plan_write_fields(const struct sonde__error_plan *plan, uint8_t *at)
{
	at = sonde__bytes_put(at, plan->values, plan->values_size);
	for (size_t i = plan->n_links; i-- > 0;) {
		uint16_t n_dropped;
		struct sonde_bytes fields = sonde__error_attributes(plan->links[i].error,
								    &n_dropped);

		if (plan->links[i].has_attributes)
			at = sonde__bytes_put(at, fields.data, fields.size);
	}
}

void sonde__error_plan_write(const struct sonde__error_plan *plan, uint8_t *at)
{
	for (size_t i = 0; i < plan->n_links; i++)
		at = link_put(at, &plan->links[i]);
	at = sonde__bytes_put(at, plan->frames, plan->n_frames * sizeof(uint64_t));
	sonde__error_plan_write_fields(plan, at);
}
