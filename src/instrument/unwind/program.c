/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Kept of a row is what x86-64 code needs: the CFA, the return address and the frame pointer. No
 * other register is needed, because compilers compute the CFA from the stack or the frame pointer.
 *
 * Standard: DWARF 5, section 6.4.2; System V ABI for x86-64, figure 3.36.
 */

#include "program.h"

/* Numbers of registers. */
#define REGISTER_FP 6
#define REGISTER_SP 7
#define REGISTER_RA 16

#define OP_DEREF 0x06 /* DW_OP_deref */
#define OP_BREG_FP (0x70 + REGISTER_FP) /* DW_OP_breg6 */
#define OP_BREG_SP (0x70 + REGISTER_SP)

#define REMEMBERED_MAX 8

struct machine {
	struct sonde__cfi_row row;
	struct sonde__cfi_row initial;
	struct sonde__cfi_row remembered[REMEMBERED_MAX];
	size_t n_remembered;
	uint64_t at; /* The first instruction of the row. */
};

/* "breg OFFSET", perhaps "deref": what gcc writes for functions that align their stack. */
static bool expression_read(struct sonde__cfi_reader *program, uint8_t *ret_register,
			    int64_t *ret_offset, bool *ret_is_read)
{
	struct sonde__cfi_reader expression = sonde__cfi_take_part(program,
								   sonde__cfi_take_uleb(program));
	uint8_t op = (uint8_t)sonde__cfi_take(&expression, 1);

	*ret_register = op - 0x70;
	*ret_offset = sonde__cfi_take_sleb(&expression);
	*ret_is_read = expression.at < expression.end;
	if (*ret_is_read && sonde__cfi_take(&expression, 1) != OP_DEREF)
		return false;
	return !expression.is_bad && expression.at == expression.end &&
	       (op == OP_BREG_FP || op == OP_BREG_SP);
}

static void cfa_set_register(struct sonde__cfi_row *row, uint64_t number)
{
	row->cfa_is_fp = number == REGISTER_FP;
	row->cfa_is_read = false;
	row->cfa_is_unknown = number != REGISTER_FP && number != REGISTER_SP;
}

static void cfa_set_expression(struct sonde__cfi_row *row, struct sonde__cfi_reader *program)
{
	uint8_t number = 0;
	bool is_read = false;
	int64_t offset = 0;
	bool is_known = expression_read(program, &number, &offset, &is_read);

	cfa_set_register(row, number);
	row->cfa_is_unknown |= !is_known;
	row->cfa_is_read = is_read;
	row->cfa_offset = offset;
}

static void register_set(struct sonde__cfi_row *row, uint64_t number, enum sonde__cfi_where where,
			 int64_t offset)
{
	if (number == REGISTER_FP) {
		row->fp = where;
		row->fp_offset = offset;
	} else if (number == REGISTER_RA) {
		row->ra = where;
		row->ra_offset = offset;
	} else if (number == REGISTER_SP && where != SONDE__WHERE_SAME) {
		/* The caller's stack pointer is not the CFA: switched stacks. */
		row->cfa_is_unknown = true;
	}
}

static void register_set_expression(struct sonde__cfi_row *row, uint64_t number,
				    struct sonde__cfi_reader *program)
{
	uint8_t base = 0;
	bool is_read = false;
	int64_t offset = 0;
	bool is_known = expression_read(program, &base, &offset, &is_read);

	register_set(row, number,
		     is_known && !is_read && base == REGISTER_FP ? SONDE__WHERE_AT_FP
								 : SONDE__WHERE_NOWHERE,
		     offset);
}

static void register_restore(struct machine *machine, uint64_t number)
{
	if (number == REGISTER_FP)
		register_set(&machine->row, number, machine->initial.fp,
			     machine->initial.fp_offset);
	else if (number == REGISTER_RA)
		register_set(&machine->row, number, machine->initial.ra,
			     machine->initial.ra_offset);
}

static bool row_restore(struct machine *machine)
{
	if (machine->n_remembered == 0)
		return false;
	machine->row = machine->remembered[--machine->n_remembered];
	return true;
}

static bool row_remember(struct machine *machine)
{
	if (machine->n_remembered == REMEMBERED_MAX)
		return false;
	machine->remembered[machine->n_remembered++] = machine->row;
	return true;
}

/* Instructions about the CFA. */
static bool run_cfa(struct sonde__cfi_row *row, struct sonde__cfi_reader *program, uint8_t op,
		    int64_t align)
{
	switch (op) {
	case 0x0c: /* DW_CFA_def_cfa */
		cfa_set_register(row, sonde__cfi_take_uleb(program));
		row->cfa_offset = (int64_t)sonde__cfi_take_uleb(program);
		return true;
	case 0x12: /* DW_CFA_def_cfa_sf */
		cfa_set_register(row, sonde__cfi_take_uleb(program));
		row->cfa_offset = sonde__cfi_take_sleb(program) * align;
		return true;
	case 0x0d: /* DW_CFA_def_cfa_register */
		cfa_set_register(row, sonde__cfi_take_uleb(program));
		return true;
	case 0x0e: /* DW_CFA_def_cfa_offset */
		row->cfa_offset = (int64_t)sonde__cfi_take_uleb(program);
		return true;
	case 0x13: /* DW_CFA_def_cfa_offset_sf */
		row->cfa_offset = sonde__cfi_take_sleb(program) * align;
		return true;
	case 0x0f: /* DW_CFA_def_cfa_expression */
		cfa_set_expression(row, program);
		return true;
	default:
		return false;
	}
}

/* Instructions about other registers. */
static bool run_register(struct machine *machine, struct sonde__cfi_reader *program, uint8_t op,
			 int64_t align)
{
	struct sonde__cfi_row *row = &machine->row;
	uint64_t number = sonde__cfi_take_uleb(program);

	switch (op) {
	case 0x05: /* DW_CFA_offset_extended */
		register_set(row, number, SONDE__WHERE_AT_CFA,
			     (int64_t)sonde__cfi_take_uleb(program) * align);
		return true;
	case 0x11: /* DW_CFA_offset_extended_sf */
		register_set(row, number, SONDE__WHERE_AT_CFA,
			     sonde__cfi_take_sleb(program) * align);
		return true;
	case 0x06: /* DW_CFA_restore_extended */
		register_restore(machine, number);
		return true;
	case 0x07: /* DW_CFA_undefined */
		register_set(row, number, SONDE__WHERE_UNDEFINED, 0);
		return true;
	case 0x08: /* DW_CFA_same_value */
		register_set(row, number, SONDE__WHERE_SAME, 0);
		return true;
	case 0x10: /* DW_CFA_expression */
		register_set_expression(row, number, program);
		return true;
	case 0x16: /* DW_CFA_val_expression */
		sonde__cfi_take_part(program, sonde__cfi_take_uleb(program));
		register_set(row, number, SONDE__WHERE_NOWHERE, 0);
		return true;
	case 0x09: /* DW_CFA_register */
	case 0x14: /* DW_CFA_val_offset */
		sonde__cfi_take_uleb(program);
		register_set(row, number, SONDE__WHERE_NOWHERE, 0);
		return true;
	case 0x15: /* DW_CFA_val_offset_sf */
		sonde__cfi_take_sleb(program);
		register_set(row, number, SONDE__WHERE_NOWHERE, 0);
		return true;
	case 0x2e: /* DW_CFA_GNU_args_size */
		return true;
	default:
		return false;
	}
}

static bool run_extended(struct machine *machine, struct sonde__cfi_reader *program, uint8_t op,
			 const struct sonde__cfi_entry *entry)
{
	switch (op) {
	case 0x00: /* DW_CFA_nop */
		return true;
	case 0x01: /* DW_CFA_set_loc */
		machine->at = sonde__cfi_take_encoded(program, entry->encoding);
		return true;
	case 0x02: /* DW_CFA_advance_loc1, 2, 4 */
	case 0x03:
	case 0x04:
		machine->at += sonde__cfi_take(program, (size_t)1 << (op - 2)) * entry->code_align;
		return true;
	case 0x0a: /* DW_CFA_remember_state */
		return row_remember(machine);
	case 0x0b: /* DW_CFA_restore_state */
		return row_restore(machine);
	default:
		return run_cfa(&machine->row, program, op, entry->data_align) ||
		       run_register(machine, program, op, entry->data_align);
	}
}

/*
 * Runs until the row after the address begins; false: something is not known. Each instruction is
 * at least a byte of a program that is bounded.
 */
static bool run(struct machine *machine, struct sonde__cfi_reader program,
		const struct sonde__cfi_entry *entry, uint64_t address)
{
	while (program.at < program.end) {
		uint8_t op = (uint8_t)sonde__cfi_take(&program, 1);
		struct sonde__cfi_row row = machine->row;
		uint8_t low = op & 0x3f;

		switch (op >> 6) {
		case 1: /* DW_CFA_advance_loc */
			machine->at += low * entry->code_align;
			break;
		case 2: /* DW_CFA_offset */
			register_set(&machine->row, low, SONDE__WHERE_AT_CFA,
				     (int64_t)sonde__cfi_take_uleb(&program) * entry->data_align);
			break;
		case 3: /* DW_CFA_restore */
			register_restore(machine, low);
			break;
		default:
			if (!run_extended(machine, &program, op, entry))
				return false;
		}
		if (program.is_bad)
			return false;
		if (machine->at > address) {
			machine->row = row;
			return true;
		}
	}
	return true;
}

bool sonde__cfi_run(const struct sonde__cfi_entry *entry, uint64_t address,
			struct sonde__cfi_row *ret)
{
	struct machine machine = { .row = { .cfa_is_unknown = true } };

	if (!run(&machine, entry->initial, entry, /* address= */ UINT64_MAX))
		return false;
	machine.initial = machine.row;
	machine.n_remembered = 0;
	machine.at = entry->start;
	if (!run(&machine, entry->program, entry, address))
		return false;
	*ret = machine.row;
	return true;
}
