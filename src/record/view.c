/* SPDX-License-Identifier: Apache-2.0 */
/* Where each text of a record begins: behind the ones before it. */

#include "record/view.h"

size_t sonde__error_link_size(const struct sonde__error_link *link)
{
	size_t size = sizeof(*link) + link->type_size + link->message_size + link->detail_size +
		      link->file_size + (size_t)link->function_size;

	return (size + 7) & ~(size_t)7;
}

struct sonde_text sonde__span_record_name(const struct sonde__span_record *record)
{
	return (struct sonde_text){ (const char *)(record + 1), record->name_size };
}

struct sonde_text sonde__span_record_trace_state(const struct sonde__span_record *record)
{
	return (struct sonde_text){ (const char *)(record + 1) + record->name_size,
				    record->trace_state_size };
}

struct sonde_text sonde__span_record_description(const struct sonde__span_record *record)
{
	struct sonde_text before = sonde__span_record_trace_state(record);

	return (struct sonde_text){ before.data + before.size, record->description_size };
}

struct sonde_bytes sonde__span_record_fields(const struct sonde__span_record *record)
{
	struct sonde_text before = sonde__span_record_description(record);

	return (struct sonde_bytes){ before.data + before.size, record->fields_size };
}

struct sonde_text sonde__part_record_name(const struct sonde__part_record *record)
{
	return (struct sonde_text){ (const char *)(record + 1), record->name_size };
}

struct sonde_text sonde__part_record_description(const struct sonde__part_record *record)
{
	return (struct sonde_text){ (const char *)(record + 1) + record->name_size,
				    record->description_size };
}

struct sonde_bytes sonde__part_record_fields(const struct sonde__part_record *record)
{
	struct sonde_text before = sonde__part_record_description(record);

	return (struct sonde_bytes){ before.data + before.size, record->fields_size };
}

struct sonde_text sonde__log_record_body(const struct sonde__log_record *record)
{
	return (struct sonde_text){ (const char *)(record + 1), record->body_size };
}

struct sonde_bytes sonde__log_record_fields(const struct sonde__log_record *record)
{
	return (struct sonde_bytes){ (const uint8_t *)(record + 1) + record->body_size,
				     record->fields_size };
}

static const struct sonde__error_link *error_links_walk(const struct sonde__error_record *record,
							unsigned n)
{
	const uint8_t *at = (const uint8_t *)(record + 1);

	while (n--)
		at += sonde__error_link_size((const struct sonde__error_link *)(const void *)at);
	return (const void *)at;
}

bool sonde__error_record_next(const struct sonde__error_record *record,
			      const struct sonde__error_link **walk,
			      struct sonde__error_link_view *ret)
{
	const void *end = error_links_walk(record, record->n_links);
	const struct sonde__error_link *link;
	const char *texts;

	if (*walk)
		link = (const void *)((const uint8_t *)*walk + sonde__error_link_size(*walk));
	else
		link = error_links_walk(record, 0);
	if ((const void *)link == end)
		return false;
	texts = (const char *)(link + 1);
	ret->line = link->line;
	ret->errno_value = link->errno_value;
	ret->n_omitted = link->n_omitted;
	ret->level = link->level;
	ret->flags = link->flags;
	ret->type = (struct sonde_text){ texts, link->type_size };
	ret->message = (struct sonde_text){ ret->type.data + ret->type.size, link->message_size };
	ret->detail = (struct sonde_text){ ret->message.data + ret->message.size,
					   link->detail_size };
	ret->file = (struct sonde_text){ ret->detail.data + ret->detail.size, link->file_size };
	ret->function = (struct sonde_text){ ret->file.data + ret->file.size, link->function_size };
	*walk = link;
	return true;
}

const uint64_t *sonde__error_record_frames(const struct sonde__error_record *record)
{
	return (const void *)error_links_walk(record, record->n_links);
}

struct sonde_bytes sonde__error_record_fields(const struct sonde__error_record *record)
{
	return (struct sonde_bytes){ sonde__error_record_frames(record) + record->n_frames,
				     record->fields_size };
}

bool sonde__error_record_crumb(const struct sonde__error_record *record,
			       const struct sonde__crumb **walk, struct sonde__crumb_view *ret)
{
	const struct sonde_bytes fields = sonde__error_record_fields(record);
	const size_t fields_size = (fields.size + 7) & ~(size_t)7;
	const uint8_t *begin = (const uint8_t *)fields.data + fields_size;
	const uint8_t *at = begin;
	const struct sonde__crumb *crumb;

	if (*walk)
		at = (const uint8_t *)*walk + sonde__crumb_size(*walk);
	crumb = (const struct sonde__crumb *)(const void *)at;
	if (at == begin + record->crumbs_size || !crumb->level)
		return false;
	ret->ticks = crumb->ticks;
	ret->level = crumb->level;
	ret->cuts = crumb->cuts;
	ret->category = (struct sonde_text){ (const char *)(crumb + 1), crumb->category_size };
	ret->message = (struct sonde_text){ ret->category.data + ret->category.size,
					    crumb->message_size };
	*walk = crumb;
	return true;
}
