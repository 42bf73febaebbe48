/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head sampler: a trace that begins here is recorded, one that came from elsewhere as its parent
 * says. Standard: ParentBased(root = AlwaysOn).
 */

#include "capture/state.h"

bool sonde__sampler_decide(const struct sonde_context *parent)
{
	return !parent || (parent->trace_flags & SONDE_TRACE_FLAG_SAMPLED);
}
