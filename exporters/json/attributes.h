/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTERS_JSON_ATTRIBUTES_H
#define SONDE_EXPORTERS_JSON_ATTRIBUTES_H

#include "json/write.h"

/* The attributes among the fields, as `,"attributes":[…]`; nothing where there are none. */
void sonde__json_attributes(struct sonde__json *json, enum sonde_fields fields,
			    const struct sonde_bytes *pieces, size_t n_pieces);

#endif
