/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_DETAIL_SPAN_INLINE_H
#define SONDE_DETAIL_SPAN_INLINE_H

/*
 * The inline halves of <sonde/span.h>: each is the gate's test and a call. Not for inclusion by
 * itself. opaque[0] is zero for a span that does not record; that word's place is part of the ABI.
 */

SONDE_API void sonde__span_begin(struct sonde_span *span, const char *name,
				 const struct sonde_span_options *options);
/* `options` NULL: all are at their defaults but those in `how`, a kind and perhaps "root". */
SONDE_API void sonde__span_begin_at(struct sonde_span *span, struct sonde_site *site, unsigned how,
				    const struct sonde_span_options *options);
#define SONDE__BEGIN_KIND 0xffu
#define SONDE__BEGIN_ROOT 0x100u
SONDE_API void sonde__span_begin_server(struct sonde_span *span, const char *method,
					const char *route, sonde_header_get_fn *get, void *carrier);
SONDE_API void sonde__span_end(struct sonde_span *span, uint64_t end_unix_ns);
SONDE_API void sonde__span_set_strn(struct sonde_span *span, const char *key, size_t key_size,
				    const char *value, size_t size);
SONDE_API void sonde__span_set_int(struct sonde_span *span, const char *key, size_t key_size,
				   int64_t value);
SONDE_API void sonde__span_set_double(struct sonde_span *span, const char *key, size_t key_size,
				   double value);
SONDE_API void sonde__span_set_bool(struct sonde_span *span, const char *key, size_t key_size,
				   bool value);
SONDE_API void sonde__span_set(struct sonde_span *span, const struct sonde_attr *attr);
SONDE_API void sonde__span_add_event(struct sonde_span *span, const char *name, uint64_t unix_ns,
				     const struct sonde_attr *attrs, size_t n_attrs);
SONDE_API void sonde__span_add_link(struct sonde_span *span, const struct sonde_context *to,
				    const struct sonde_attr *attrs, size_t n_attrs);
SONDE_API void sonde__span_set_status(struct sonde_span *span, enum sonde_span_status status,
				      const char *description);
SONDE_API void sonde__span_set_name(struct sonde_span *span, const char *name);
SONDE_API void sonde__current_set(const struct sonde_attr *attr);
SONDE_API void sonde__current_add_event(const char *name, const struct sonde_attr *attrs,
					size_t n_attrs);
SONDE_API void sonde__current_set_status(enum sonde_span_status status, const char *description);

/* A begin that records writes opaque[0] itself. */
static inline void sonde_span_begin(struct sonde_span *span, const char *name,
				    const struct sonde_span_options *options)
{
	if (sonde_is_recording())
		sonde__span_begin(span, name, options);
	else if (span)
		span->opaque[0] = 0;
}

/* Known to the compiler where the options stand in the source, as they do with SONDE_SPAN. */
static inline bool sonde__span_options_say_how_alone(const struct sonde_span_options *options)
{
	return options->size == sizeof(*options) && !options->start_unix_ns && !options->parent &&
	       !options->detached;
}

static inline void sonde_span_begin_at(struct sonde_span *span, struct sonde_site *site,
				       const struct sonde_span_options *options)
{
	/* Before the gate: the compiler forgets what it knows of the options at an atomic load. */
	const bool is_plain = !options || sonde__span_options_say_how_alone(options);
	const unsigned kind = options ? (unsigned)options->kind & SONDE__BEGIN_KIND : 0;
	const unsigned root = options && options->root ? SONDE__BEGIN_ROOT : 0;

	if (!sonde_is_recording()) {
		if (span)
			span->opaque[0] = 0;
	} else if (is_plain) {
		sonde__span_begin_at(span, site, kind | root, NULL);
	} else {
		sonde__span_begin_at(span, site, SONDE_KIND_INTERNAL, options);
	}
}

static inline void sonde_span_begin_server(struct sonde_span *span, const char *method,
					   const char *route, sonde_header_get_fn *get,
					   void *carrier)
{
	if (sonde_is_recording())
		sonde__span_begin_server(span, method, route, get, carrier);
	else if (span)
		span->opaque[0] = 0;
}

/*
 * The end does not ask the gate: a span begun before the agent stopped sets its thread's context
 * back.
 */
static inline void sonde_span_end(struct sonde_span *span)
{
	if (span && span->opaque[0])
		sonde__span_end(span, 0);
}

static inline void sonde_span_end_with_time(struct sonde_span *span, uint64_t end_unix_ns)
{
	if (span && span->opaque[0])
		sonde__span_end(span, end_unix_ns);
}

/* Known to the compiler where the key stands in the source. */
static inline size_t sonde__key_size(const char *key)
{
	return key ? strlen(key) : 0;
}

static inline void sonde_span_set_strn(struct sonde_span *span, const char *key, const char *value,
				       size_t size)
{
	if (sonde_is_recording())
		sonde__span_set_strn(span, key, sonde__key_size(key), value, size);
}

static inline void sonde_span_set_str(struct sonde_span *span, const char *key, const char *value)
{
	if (sonde_is_recording())
		sonde__span_set_strn(span, key, sonde__key_size(key), value,
				     value ? strlen(value) : 0);
}

static inline void sonde_span_set_int(struct sonde_span *span, const char *key, int64_t value)
{
	if (sonde_is_recording())
		sonde__span_set_int(span, key, sonde__key_size(key), value);
}

static inline void sonde_span_set_double(struct sonde_span *span, const char *key, double value)
{
	if (sonde_is_recording())
		sonde__span_set_double(span, key, sonde__key_size(key), value);
}

static inline void sonde_span_set_bool(struct sonde_span *span, const char *key, bool value)
{
	if (sonde_is_recording())
		sonde__span_set_bool(span, key, sonde__key_size(key), value);
}

static inline void sonde_span_set(struct sonde_span *span, struct sonde_attr attr)
{
	if (sonde_is_recording())
		sonde__span_set(span, &attr);
}

static inline void sonde_span_add_event(struct sonde_span *span, const char *name,
					const struct sonde_attr *attrs, size_t n_attrs)
{
	if (sonde_is_recording())
		sonde__span_add_event(span, name, 0, attrs, n_attrs);
}

static inline void sonde_span_add_event_with_time(struct sonde_span *span, const char *name,
						  uint64_t unix_ns, const struct sonde_attr *attrs,
						  size_t n_attrs)
{
	if (sonde_is_recording())
		sonde__span_add_event(span, name, unix_ns, attrs, n_attrs);
}

static inline void sonde_span_add_link(struct sonde_span *span, const struct sonde_context *to,
				       const struct sonde_attr *attrs, size_t n_attrs)
{
	if (sonde_is_recording())
		sonde__span_add_link(span, to, attrs, n_attrs);
}

static inline void sonde_span_set_status(struct sonde_span *span, enum sonde_span_status status,
					 const char *description)
{
	if (sonde_is_recording())
		sonde__span_set_status(span, status, description);
}

static inline void sonde_span_set_name(struct sonde_span *span, const char *name)
{
	if (sonde_is_recording())
		sonde__span_set_name(span, name);
}

static inline void sonde_current_set(struct sonde_attr attr)
{
	if (sonde_is_recording())
		sonde__current_set(&attr);
}

static inline void sonde_current_add_event(const char *name, const struct sonde_attr *attrs,
					   size_t n_attrs)
{
	if (sonde_is_recording())
		sonde__current_add_event(name, attrs, n_attrs);
}

static inline void sonde_current_set_status(enum sonde_span_status status, const char *description)
{
	if (sonde_is_recording())
		sonde__current_set_status(status, description);
}

#endif
