/* SPDX-License-Identifier: Apache-2.0 */
/* The box's life: made at start, made anew in a forked child, closed at stop. */

#include "box/box.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "box/read.h"
#include "box/ring.h"
#include "box/shape.h"
#include "box/write.h"

static struct sonde__box box;
static struct sonde__box_header plan; /* The header as every box of this process begins. */

static void addresses_fill(uint8_t *base)
{
	box.base = base;
	box.rings = base + plan.rings.offset;
	box.ring_stride = plan.rings.stride;
	box.reserve = (struct sonde__ring *)(base + plan.reserve.offset);
	box.counters = (struct sonde__box_counters *)(base + plan.counters.offset);
	box.site_ids = (_Atomic uint32_t *)(base + plan.sites.offset);
	box.site_texts = base + plan.texts.offset;
	box.site_texts_size = plan.texts.count;
}

int sonde__box_open(const struct sonde__box_options *options, struct sonde__box_info *ret)
{
	int status = sonde__process_init();
	void *base;

	if (status < 0)
		return status;
	if (!box.base)
		sonde__box_divide(options->size_bytes, (unsigned)sysconf(_SC_NPROCESSORS_CONF), &box, &plan);
	base = mmap(box.base, box.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | (box.base ? MAP_FIXED : 0),
		    /* fd= */ -1, 0);
	if (base == MAP_FAILED)
		return SONDE_E_SYSTEM;
	addresses_fill(base);
	for (uint32_t i = 0; i <= box.n_rings; i++)
		sonde__ring_open(sonde__box_ring(&box, i), sonde__box_ring_shape(&box, i), 0, (uint16_t)i);
	sonde__box_reader_reset();
	memset(ret, 0, sizeof(*ret));
	ret->kind = SONDE__BOX_PRIVATE;
	ret->size_bytes = box.size;
	ret->n_rings = box.n_rings;
	ret->n_blocks = box.ring_shape.n_blocks;
	ret->block_size = 1u << box.ring_shape.block_shift;
	atomic_store_explicit(&sonde__box_current, &box, memory_order_release); /* R0 */
	return SONDE_OK;
}

void sonde__box_close(void)
{
}

void sonde__box_forsake(void)
{
	atomic_store_explicit(&sonde__box_current, NULL, memory_order_release);
}
