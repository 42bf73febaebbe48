/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_SONDE_H
#define SONDE_SONDE_H

/* Everything a service needs. Exporters are written against <sonde/exporter.h>. */

#include <sonde/agent.h>
#include <sonde/attribute.h>
#include <sonde/base.h>
#include <sonde/breadcrumb.h>
#include <sonde/capture.h>
#include <sonde/context.h>
#include <sonde/error.h>
#include <sonde/fingerprint.h>
#include <sonde/problem.h>
#include <sonde/scope.h>
#include <sonde/span.h>

#endif
