/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_WEBHOOK_ANSWERS_H
#define SONDE_WEBHOOK_ANSWERS_H

#include "otlp/classify.h"

/* What receivers of webhooks mean by their answers. */
extern const struct sonde__otlp_dialect sonde__webhook_dialect;

#endif
