/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate, one word for the process. It stands in a file of its own, so that a program that links
 * the archive and never starts an agent takes this word and nothing else.
 */

#include <sonde/base.h>

SONDE_API uint32_t sonde_gate;
