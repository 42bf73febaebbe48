/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_FINGERPRINT_MAKE_H
#define SONDE_PIPELINE_FINGERPRINT_MAKE_H

#include "pipeline/fingerprint.h"

/* Makes the fingerprint of an error from names. Never 0. Reads files. */
uint64_t sonde__fingerprint_make(const struct sonde__error_record *record);

#endif
