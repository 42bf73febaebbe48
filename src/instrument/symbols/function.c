/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From an address to its compilation unit, by .debug_aranges or, where the compiler writes none, by
 * asking each; in the unit down the entries whose ranges hold the address, through namespaces and
 * classes to the function, and through blocks to what is inlined. The line table says where the
 * innermost one is; each inlined one says where it was called from, which is where the next one is.
 *
 * Damaged debug information may have entries that are their own siblings or descendants, so steps
 * and depths are counted.
 */

#include "function.h"

#include <dwarf.h>
#include <stdbool.h>
#include <string.h>

#define STEPS_MAX 4000000
#define DEPTH_MAX 48

struct search {
	uint64_t address;
	size_t n_steps;
	struct sonde__function *functions; /* The outermost first, while searching. */
	size_t n_functions;
};

static bool unit_next(Dwarf *dwarf, Dwarf_Off *at, Dwarf_Die *ret)
{
	Dwarf_Off from = *at;
	Dwarf_Off next;
	size_t header_size;

	while (dwarf_nextcu(dwarf, from, &next, &header_size, NULL, NULL, NULL) == 0) {
		if (next <= from)
			return false;
		*at = next;
		if (dwarf_offdie(dwarf, from + header_size, ret))
			return true;
		from = next;
	}
	return false;
}

static bool unit_find(Dwarf *dwarf, uint64_t address, Dwarf_Die *ret)
{
	Dwarf_Off at = 0;

	if (dwarf_addrdie(dwarf, address, ret))
		return true;
	while (unit_next(dwarf, &at, ret))
		if (dwarf_haspc(ret, address) == 1)
			return true;
	return false;
}

static bool is_scope(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_module || tag == DW_TAG_class_type ||
	       tag == DW_TAG_structure_type || tag == DW_TAG_union_type;
}

static void search_block(struct search *search, Dwarf_Die *parent, unsigned depth);

/* A function or a block around the address; true: it is the one. */
static bool search_inside(struct search *search, Dwarf_Die *die, int tag, unsigned depth)
{
	if (dwarf_haspc(die, search->address) != 1)
		return false;
	if (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_subprogram) {
		if (search->n_functions == SONDE__SCOPES_MAX)
			return true;
		search->functions[search->n_functions++] = (struct sonde__function){ .die = *die };
	}
	search_block(search, die, depth + 1);
	return true;
}

/* Down the one child that holds the address. */
static void search_block(struct search *search, Dwarf_Die *parent, unsigned depth)
{
	Dwarf_Die die;

	if (depth > DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return;
	do {
		int tag = dwarf_tag(&die);

		if (++search->n_steps > STEPS_MAX)
			return;
		if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
		     tag == DW_TAG_subprogram) &&
		    search_inside(search, &die, tag, depth))
			return;
	} while (dwarf_siblingof(&die, &die) == 0);
}

/* The function that holds the address, among all that is declared in `parent`. */
static bool search_scope(struct search *search, Dwarf_Die *parent, unsigned depth)
{
	Dwarf_Die die;

	if (depth > DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return false;
	do {
		int tag = dwarf_tag(&die);

		if (++search->n_steps > STEPS_MAX)
			return false;
		if (tag == DW_TAG_subprogram && search_inside(search, &die, tag, depth))
			return true;
		if (is_scope(tag) && search_scope(search, &die, depth + 1))
			return true;
	} while (dwarf_siblingof(&die, &die) == 0);
	return false;
}

static int attribute_number(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	if (!dwarf_attr(die, name, &attribute) || dwarf_formudata(&attribute, &value) != 0 ||
	    value > INT32_MAX)
		return 0;
	return (int)value;
}

static struct sonde__position address_position(Dwarf_Die *unit, uint64_t address)
{
	struct sonde__position position = { .file = NULL };
	Dwarf_Line *line = dwarf_getsrc_die(unit, address);

	if (!line)
		return position;
	position.file = dwarf_linesrc(line, NULL, NULL);
	if (dwarf_lineno(line, &position.line) != 0)
		position.line = 0;
	if (dwarf_linecol(line, &position.column) != 0)
		position.column = 0;
	return position;
}

static struct sonde__position call_position(Dwarf_Die *unit, Dwarf_Die *inlined)
{
	struct sonde__position position = {
		.line = attribute_number(inlined, DW_AT_call_line),
		.column = attribute_number(inlined, DW_AT_call_column),
	};
	int index = attribute_number(inlined, DW_AT_call_file);
	Dwarf_Files *files;
	size_t n_files;

	if (dwarf_getsrcfiles(unit, &files, &n_files) == 0 && (size_t)index < n_files)
		position.file = dwarf_filesrc(files, (size_t)index, NULL, NULL);
	return position;
}

size_t sonde__functions_find(Dwarf *dwarf, uint64_t address, struct sonde__function *ret)
{
	struct sonde__function found[SONDE__SCOPES_MAX];
	struct search search = { .address = address, .functions = found };
	struct sonde__position position;
	Dwarf_Die unit;
	size_t n;

	if (!unit_find(dwarf, address, &unit))
		return 0;
	search_scope(&search, &unit, /* depth= */ 0);
	n = search.n_functions;
	position = address_position(&unit, address);
	for (size_t i = 0; i < n; i++) {
		ret[i] = found[n - 1 - i];
		ret[i].position = position;
		if (i + 1 < n)
			position = call_position(&unit, &ret[i].die);
	}
	return n;
}

static const char *attribute_text(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;

	if (!dwarf_attr_integrate(die, name, &attribute))
		return NULL;
	return dwarf_formstring(&attribute);
}

const char *sonde__function_linkage_name(struct sonde__function *function)
{
	const char *name = attribute_text(&function->die, DW_AT_linkage_name);

	return name ? name : attribute_text(&function->die, DW_AT_MIPS_linkage_name);
}

const char *sonde__function_name(struct sonde__function *function)
{
	return attribute_text(&function->die, DW_AT_name);
}

const char *sonde__function_folder(struct sonde__function *function)
{
	Dwarf_Die unit;

	if (!dwarf_diecu(&function->die, &unit, NULL, NULL))
		return NULL;
	return attribute_text(&unit, DW_AT_comp_dir);
}
