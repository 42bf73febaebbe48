/* SPDX-License-Identifier: Apache-2.0 */

/* Systems without a way to find modules that takes no lock: addresses stay addresses. */

#include "stack/module.h"

bool sonde__module_find(uint64_t address, struct sonde__module *ret)
{
	(void)address;
	(void)ret;
	return false;
}

bool sonde__module_is_current(const struct sonde__module *module)
{
	(void)module;
	return false;
}

bool sonde__memory_read(uint64_t address, void *ret, size_t size)
{
	(void)address;
	(void)ret;
	(void)size;
	return false;
}

bool sonde__literal_read(uint64_t address, char *ret, size_t size)
{
	(void)address;
	(void)ret;
	(void)size;
	return false;
}

size_t sonde__build_id_find(const uint8_t *notes, size_t size, size_t *ret_offset)
{
	(void)notes;
	(void)size;
	(void)ret_offset;
	return 0;
}
