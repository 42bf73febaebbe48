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

#define ERROR_FILE_SIZE 128 /* The end of a longer path. */
#define ERROR_FUNCTION_SIZE 64
#define ERROR_TYPE_NAME_SIZE 64
#define ERROR_IDENTITIES 16
#define ERROR_ATTRIBUTES_SIZE 256

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

struct sonde_error {
	_Atomic uint32_t state;
	int32_t errno_value;
	const struct sonde_error_type *type; /* The caller's: may be gone, not followed here. */
	struct sonde_error *cause;
	uint64_t event_id; /* 0: not captured. */
	uint64_t
		/* The address of the message's format: a name of the place, never followed. */
		format;
	int32_t line;
	uint32_t n_omitted;
	uint16_t depth; /* Errors in the chain from here. */
	uint16_t http_status;
	uint16_t attributes_size;
	uint16_t n_dropped;
	uint8_t severity;
	uint8_t n_frames;
	uint8_t n_identities; /* 0: ask the type. */
	bool is_pooled;
	uint32_t identities[ERROR_IDENTITIES];
	uint64_t frames[SONDE_ERROR_FRAMES];
	char type_name[ERROR_TYPE_NAME_SIZE];
	char message[SONDE_ERROR_MESSAGE_SIZE];
	char file[ERROR_FILE_SIZE];
	char function[ERROR_FUNCTION_SIZE];
	uint8_t attributes[ERROR_ATTRIBUTES_SIZE];
};

#endif
