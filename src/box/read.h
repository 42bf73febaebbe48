/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_READ_H
#define SONDE_BOX_READ_H

/* Forgets a pass that was under way: the memory was replaced. */
void sonde__box_reader_reset(void);

#endif
