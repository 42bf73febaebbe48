/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_OBJECT_H
#define SONDE_ERROR_OBJECT_H

/*
 * Inside the error layer: the object. Everything in it is a copy, so that it outlives its raiser.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/error.h>

#define ERROR_TYPE_NAME_SIZE 64
#define ERROR_CODE_SIZE 32
#define ERROR_FILE_SIZE 128 /* The end of a longer path. */
#define ERROR_FUNCTION_SIZE 64
#define ERROR_DETAIL_SIZE 256
#define ERROR_IDENTITIES 16

#define ERROR_SIZE 1024
#define ERROR_HEAD_SIZE 288
#define ERROR_BYTES_SIZE (ERROR_SIZE - ERROR_HEAD_SIZE)

/*
 * Who an object belongs to. Numbers that memory is unlikely to hold by accident.
 *
 *	FREED ──take──▶ LIVE ──wrap──▶ OWNED
 *	  ▲              │free           │free of the outermost
 *	  └──────────────┴───────────────┘
 */
enum sonde__error_state {
	SONDE__ERROR_LIVE = 0x6c697665, /* The caller's. */
	SONDE__ERROR_OWNED = 0x6f776e65, /* Another error's cause. */
	SONDE__ERROR_FREED = 0x66726565,
	SONDE__ERROR_STATIC = 0x73746174, /* Everybody's, never written. */
};

/* Bits of sonde_error.flags. */
#define ERROR_IS_POOLED 0x01
#define ERROR_IS_PUBLIC 0x02 /* The message may be shown to a client. */
#define ERROR_IS_RETRYABLE 0x04
#define ERROR_IS_JOIN 0x08 /* Made by sonde_error_join: takes more errors in. */
#define ERROR_ERRNO_COUNTS 0x10 /* errno is worth saying, see sonde__error_said_errno. */

/*
 * All texts and attributes share the bytes at the end, so that a long message may take what a short
 * one leaves:
 *
 *	file, function, type name, code, message | attributes → free ← detail |
 *
 * The texts, each with its zero, are written when the error is raised and stay where they are; the
 * offsets say where. Attributes grow up behind them, the detail stands at the end and is written
 * anew when it changes.
 */
struct sonde_error {
	_Atomic uint32_t state;
	int32_t errno_value;
	const struct sonde_error_type *type; /* The caller's: may be gone, not followed here. */
	struct sonde_error *cause;
	struct sonde_error *joined; /* The first of those that are joined in this one. */
	struct sonde_error *next; /* The next one that is joined in the same. */
	uint64_t event_id; /* 0: not captured. Of a freed object: who freed it. */
	uint64_t format; /* The address of the message's: a name of the place, never followed. */
	int32_t line;
	uint32_t n_omitted;
	uint16_t depth; /* Errors in the chain from here. */
	uint16_t n_objects; /* With all causes and joined ones. */
	uint16_t http_status;
	uint16_t n_dropped;
	uint16_t function_at;
	uint16_t type_name_at;
	uint16_t code_at;
	uint16_t message_at;
	uint16_t attributes_at;
	uint16_t attributes_size;
	uint16_t detail_at; /* ERROR_BYTES_SIZE: none. */
	uint8_t severity;
	uint8_t n_frames;
	uint8_t n_identities; /* 0: ask the type. */
	uint8_t flags;
	uint8_t n_joined;
	uint8_t primary; /* Which of the joined ones gave the type. */
	uint8_t nest; /* Joins one inside the other, this one counted. */
	uint8_t reserved[3];
	uint32_t identities[ERROR_IDENTITIES];
	uint64_t frames[SONDE_ERROR_FRAMES];
	char bytes[ERROR_BYTES_SIZE];
};

static inline const char *sonde__error_text(const struct sonde_error *error, size_t at)
{
	return error->bytes + at;
}

/* Bytes that neither texts nor attributes nor the detail take. */
static inline size_t sonde__error_room(const struct sonde_error *error)
{
	return (size_t)error->detail_at - error->attributes_at - error->attributes_size;
}

/*
 * An error from the pool with its place, no type yet, and the message still to be written; NULL:
 * out of memory.
 */
struct sonde_error *sonde__error_begin(const char *file, int line, const char *function);

/* Makes it of the type that `from` is of, texts not counted. */
void sonde__error_type_adopt(struct sonde_error *error, const struct sonde_error *from);

/* Writes the texts of the type; returns where the message begins. */
size_t sonde__error_type_name_put(struct sonde_error *error, const char *name, const char *code);

/* Frees an error that is in `state`, and all that it owns. */
void sonde__error_release(struct sonde_error *error, uint32_t state, uint64_t freed_by);

/* False, and no change: it was not in the state `from`. */
bool sonde__error_state_change(struct sonde_error *error, uint32_t from, uint32_t to);

bool sonde__error_is_static(const struct sonde_error *error);

/* The caller's to change. */
static inline bool sonde__error_is_writable(const struct sonde_error *error)
{
	/* Relaxed: an error belongs to one thread at a time. */
	uint32_t state = error ? atomic_load_explicit(&error->state, memory_order_relaxed)
			       : SONDE__ERROR_STATIC;

	return state == SONDE__ERROR_LIVE || state == SONDE__ERROR_OWNED;
}

#endif
