/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the box: one pass after the other over all its rings, the reserve last. */

#include "box/box.h"

#include "box/open.h"
#include "box/read.h"
#include "box/ring.h"
#include "box/shape.h"

/* Where a pass stands; the reader's thread alone. */
static struct {
	uint32_t ring;
	struct sonde__ring_pass pass;
} reader;

size_t sonde__box_collect(struct sonde__record_ref *refs, size_t capacity, bool *ret_complete)
{
	const struct sonde__box *box = sonde__box_get();
	size_t n = 0;

	for (; box && reader.ring <= box->n_rings; reader.ring++) {
		if (!sonde__ring_collect(sonde__box_ring(box, reader.ring),
					 sonde__box_ring_shape(box, reader.ring), &reader.pass,
					 refs, capacity, &n)) {
			*ret_complete = false;
			return n;
		}
	}
	reader.ring = 0;
	sonde__open_sweep();
	*ret_complete = true;
	return n;
}

void sonde__box_release(const struct sonde__record_ref *ref)
{
	const struct sonde__box *box = sonde__box_get();
	struct sonde__block *block = ref->block;
	const struct sonde__ring_shape *shape;
	struct sonde__ring *ring;

	if (!box || block->ring > box->n_rings)
		return;
	shape = sonde__box_ring_shape(box, block->ring);
	ring = sonde__box_ring(box, block->ring);
	/* The block says where it is; believed only where that leads back to it. */
	if (block->index >= shape->n_blocks ||
	    sonde__ring_block(ring, shape, block->index) != block)
		return;
	sonde__ring_release(ring, shape, block, ref->record);
}

void sonde__box_reader_reset(void)
{
	reader.ring = 0;
	reader.pass.is_under_way = false;
}
