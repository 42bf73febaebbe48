/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The box's life. Its address is found at the first open and kept for the life of the process: a
 * writer may be inside at any time, so memory is only ever replaced, by one mmap over what was
 * there, and only where nothing is reserved in it:
 *
 *	first open		nobody can be inside: the box is published last
 *	in a forked child	those inside were the parent's threads, and are not in this process; a
 *				commit of this thread that the fork interrupted knows the parent's mark
 *				and does nothing
 *	after a stop		every block is sealed first; replaced only if nothing is in it then, else
 *				opened again as it is, and the box goes on without a file
 *
 * A writer that was about to reserve while the memory changed under it finds the new memory either
 * all zero, which says sealed and full, or open under sequence numbers that the old memory never
 * had, so that none of its compare-and-swaps can hit.
 */

#include "box/box.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "box/account.h"
#include "box/cpu.h"
#include "box/dead.h"
#include "box/figures.h"
#include "box/file.h"
#include "box/open.h"
#include "box/read.h"
#include "box/ring.h"
#include "box/shape.h"
#include "box/site.h"
#include "box/write.h"

#define DEAD_BOXES_DEFAULT 4
#define SEQUENCE_MAX (UINT64_C(1) << 47)

static struct sonde__box box;
static struct sonde__box_header plan; /* How every box of this process begins. */

/*
 * What this process asked for and has. Changed by open and close alone, which the agent serialises.
 */
static struct {
	char directory[SONDE__BOX_DIRECTORY_SIZE + 1]; /* One longer: too long stays too long. */
	uint32_t max_dead_boxes;
	bool has_open_spans;
	pid_t owner; /* Who opened what is mapped; 0: nobody yet. */
	bool is_open;
	uint64_t opened_unix_ns;
	struct sonde__box_info info;
} life;

static struct sonde__box_header *header_get(void)
{
	return (struct sonde__box_header *)box.base;
}

/* ---- What a box begins with ------------------------------------------------------------------ */

static unsigned cpus_possible(const struct sonde__box_options *options)
{
	return options->n_cpus ? options->n_cpus : (unsigned)sysconf(_SC_NPROCESSORS_CONF);
}

static void plan_make(const struct sonde__box_options *options)
{
	struct sonde__line service = sonde__line_begin(plan.service, sizeof(plan.service));
	struct sonde__line directory = sonde__line_begin(life.directory, sizeof(life.directory));

	sonde__line_add(&service, options->service_name ? options->service_name : "");
	sonde__line_add(&directory, options->directory ? options->directory : "");
	life.max_dead_boxes = options->max_dead_boxes ? options->max_dead_boxes
						      : DEAD_BOXES_DEFAULT;
	life.has_open_spans = !options->no_open_spans;
	plan.layout_version = SONDE__BOX_LAYOUT_VERSION;
	plan.header_size = sizeof(plan);
	plan.granule_shift = SONDE__GRANULE_SHIFT;
	plan.word_field_bits = SONDE__WORD_FIELD;
	plan.word_open_bit = SONDE__WORD_OPEN_SHIFT;
	plan.word_sequence_bits = SONDE__WORD_SEQUENCE_BITS;
	plan.head_block_bits = SONDE__HEAD_BLOCK_BITS;
	plan.block_stride = sizeof(struct sonde__block);
	/* Relaxed, like all of the plan: private memory. */
	atomic_store_explicit(&plan.magic, ~SONDE__BOX_MAGIC_INVERTED, memory_order_relaxed);
	if (box.base)
		return;
	sonde__box_divide(options->size_bytes, cpus_possible(options), &box, &plan);
	sonde__cpu_find(&box);
	sonde__sites_limit(plan.texts.count);
}

static void plan_renew(void)
{
	struct stat status;

	sonde__process_identify(getpid(), &plan.process);
	plan.pid_namespace = stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
	plan.anchor_ticks = sonde__ticks();
	plan.anchor_monotonic_ns = sonde__monotonic_ns();
	plan.anchor_realtime_ns = sonde__realtime_ns();
	plan.ticks_per_ms = sonde__ticks_per_ms();
}

static void addresses_fill(uint8_t *base)
{
	box.base = base;
	box.rings = base + plan.rings.offset;
	box.ring_stride = plan.rings.stride;
	box.reserve = (struct sonde__ring *)(base + plan.reserve.offset);
	box.counters = (struct sonde__box_counters *)(base + plan.counters.offset);
	box.figures = base + plan.figures.offset;
	box.open_entries = (struct sonde__open_entry *)(base + plan.open_spans.offset);
	box.site_ids = (_Atomic uint32_t *)(base + plan.sites.offset);
	box.site_texts = base + plan.texts.offset;
	box.site_texts_size = plan.texts.count;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Maps over the old memory, if there is any. On failure that is untouched. */
static bool memory_map(int fd, int flags)
{
	void *base = mmap(box.base, box.size, PROT_READ | PROT_WRITE,
			  flags | (box.base ? MAP_FIXED : 0), fd, 0);

	if (fd >= 0)
		close(fd);
	if (base == MAP_FAILED)
		return false;
	if (!box.base)
		addresses_fill(base);
	return true;
}

static int directory_open(char ret_path[SONDE__BOX_DIRECTORY_SIZE], struct sonde__line *reason)
{
	int directory = -1;

	if (life.directory[0])
		directory = sonde__box_directory_open(life.directory, ret_path, reason);
	if (directory < 0)
		directory = sonde__box_directory_open(/* path= */ NULL, ret_path, reason);
	return directory;
}

static bool file_map(struct sonde__box_info *info, struct sonde__line *reason)
{
	char path[SONDE__BOX_DIRECTORY_SIZE];
	char name_bytes[sizeof(info->path) - sizeof(path)];
	struct sonde__line name = sonde__line_begin(name_bytes, sizeof(name_bytes));
	struct sonde__line whole = sonde__line_begin(info->path, sizeof(info->path));
	int directory = directory_open(path, reason);
	int fd;
	bool is_mapped;

	if (directory < 0)
		return false;
	sonde__box_dead_remove(directory, &plan, life.max_dead_boxes, info);
	fd = sonde__box_file_create(directory, &plan, &name, reason);
	is_mapped = fd >= 0 && memory_map(fd, MAP_SHARED);
	if (fd >= 0 && !is_mapped) {
		sonde__line_add(reason, "the file: cannot be mapped");
		unlinkat(directory, name.data, 0);
	}
	close(directory);
	if (!is_mapped)
		return false;
	info->kind = SONDE__BOX_FILE;
	sonde__line_add(&whole, path);
	sonde__line_add_char(&whole, '/');
	sonde__line_add(&whole, name.data);
	return true;
}

static bool memory_find(struct sonde__box_info *info)
{
	struct sonde__line reason = sonde__line_begin(info->reason, sizeof(info->reason));
	int fd;

	if (file_map(info, &reason))
		return true;
	fd = sonde__box_memfd_create(&plan, &reason);
	if (fd >= 0 && memory_map(fd, MAP_SHARED)) {
		info->kind = SONDE__BOX_MEMFD;
		return true;
	}
	info->kind = SONDE__BOX_PRIVATE;
	return memory_map(/* fd= */ -1, MAP_PRIVATE | MAP_ANONYMOUS);
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* A sequence number that no ring in the memory that is about to go has used or will use. */
static uint64_t next_sequence(void)
{
	uint64_t most = 0;

	for (uint32_t i = 0; box.base && i <= box.n_rings; i++) {
		/*
		 * Relaxed: an older value would need a writer, and in a child or after a stop there
		 * is none.
		 */
		uint64_t tail = atomic_load_explicit(&sonde__box_ring(&box, i)->tail,
						     memory_order_relaxed);

		most = tail > most && tail < SEQUENCE_MAX ? tail : most;
	}
	return most;
}

/* Fills fresh, zeroed memory, in the order that lets a writer come in at any moment. */
static void box_fill(uint64_t sequence)
{
	struct sonde__box_header *header = header_get();

	memcpy((uint8_t *)header + sizeof(header->magic),
	       (const uint8_t *)&plan + sizeof(plan.magic), sizeof(plan) - sizeof(plan.magic));
	sonde__sites_copy(&box);
	for (uint32_t i = 0; i <= box.n_rings; i++)
		sonde__ring_open(sonde__box_ring(&box, i), sonde__box_ring_shape(&box, i), sequence,
				 (uint16_t)i);
	sonde__figures_open(&box);
	sonde__open_table_set(&box, life.has_open_spans);
	sonde__box_outside_move(box.counters);
	sonde__box_reader_reset();
	sonde__box_account_begin(/* is_continued= */ false);
	/* Release, for readers in other processes: everything above is there. */
	atomic_store_explicit(&header->magic, ~SONDE__BOX_MAGIC_INVERTED, memory_order_release);
	atomic_store_explicit(&header->state, SONDE__BOX_STATE_LIVE, memory_order_release);
}

static bool is_empty(void)
{
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		for (uint32_t i = 0; i <= box.n_rings; i++) {
			struct sonde__ring_account account;

			sonde__ring_account(sonde__box_ring(&box, i),
					    sonde__box_ring_shape(&box, i),
					    (enum sonde_signal)signal, &account);
			if (account.queued > 0)
				return false;
		}
	}
	return true;
}

/* Seals all rings; true if they are empty then, else they are opened again. */
static bool seal_if_empty(void)
{
	if (!is_empty())
		return false;
	for (uint32_t i = 0; i <= box.n_rings; i++)
		sonde__ring_seal(sonde__box_ring(&box, i), sonde__box_ring_shape(&box, i));
	if (is_empty())
		return true;
	for (uint32_t i = 0; i <= box.n_rings; i++)
		sonde__ring_unseal(sonde__box_ring(&box, i), sonde__box_ring_shape(&box, i));
	return false;
}

static void info_fill(struct sonde__box_info *info)
{
	info->size_bytes = box.size;
	info->n_rings = box.n_rings;
	info->n_blocks = box.ring_shape.n_blocks;
	info->block_size = 1u << box.ring_shape.block_shift;
}

/* After a stop that left records inside: the same memory again, without its file. */
static void box_continue(struct sonde__box_info *info)
{
	struct sonde__line reason = sonde__line_begin(info->reason, sizeof(info->reason));

	sonde__figures_restart(&box);
	sonde__open_table_set(&box, life.has_open_spans);
	sonde__box_account_begin(/* is_continued= */ true);
	sonde__box_reader_reset();
	info->kind = life.info.kind == SONDE__BOX_PRIVATE ? SONDE__BOX_PRIVATE : SONDE__BOX_MEMFD;
	sonde__line_add(&reason, "records from before the stop are still in the box, so its memory "
				 "is kept, without a file");
}

static int box_renew(struct sonde__box_info *info)
{
	uint64_t sequence = next_sequence();

	plan_renew();
	if (!memory_find(info))
		return SONDE_E_SYSTEM;
	box_fill(sequence);
	return SONDE_OK;
}

int sonde__box_open(const struct sonde__box_options *options, struct sonde__box_info *ret)
{
	struct sonde__box_info info = { 0 };
	bool is_child = life.owner && (!sonde__process_is_known() || life.owner != getpid());
	int status = SONDE_OK;

	if (!options && !life.owner)
		return SONDE_E_INVALID;
	if (life.is_open && !is_child)
		return SONDE_E_EXISTS;
	if (!life.owner && sonde__process_init() < 0)
		return SONDE_E_SYSTEM;
	if (options)
		plan_make(options);
	if (life.owner && !is_child && !seal_if_empty())
		box_continue(&info);
	else
		status = box_renew(&info);
	if (status < 0)
		return status;
	info_fill(&info);
	life.owner = getpid();
	life.is_open = true;
	life.opened_unix_ns = sonde__realtime_ns();
	life.info = info;
	*ret = info;
	/* R0, partner A0 */
	atomic_store_explicit(&sonde__box_current, &box, memory_order_release);
	return SONDE_OK;
}

void sonde__box_close(void)
{
	if (!life.is_open || life.owner != getpid())
		return;
	life.is_open = false;
	/* Release, for readers in other processes: what the reader released is seen released. */
	atomic_store_explicit(&header_get()->state, SONDE__BOX_STATE_CLOSED, memory_order_release);
	if (life.info.kind == SONDE__BOX_FILE)
		unlink(life.info.path);
}

uint64_t sonde__box_opened_unix_ns(void)
{
	return life.opened_unix_ns;
}

void sonde__box_forsake(void)
{
	sonde__open_table_forget();
	/* Release: by habit; who sees NULL looks at nothing behind it. */
	atomic_store_explicit(&sonde__box_current, NULL, memory_order_release);
}
