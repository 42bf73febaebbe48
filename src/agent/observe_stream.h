/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_OBSERVE_STREAM_H
#define SONDE_AGENT_OBSERVE_STREAM_H

/* Spans for streams that begin from here on, and until then. */
void sonde__observe_streams_begin(void);
void sonde__observe_streams_end(void);

#endif
