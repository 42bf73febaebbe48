/* SPDX-License-Identifier: Apache-2.0 */

/* Modules are found as the dynamic loader has them, and no longer once they are gone. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "stack/module.h"

static uint64_t address_of(void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

/* The loader's own view of the module around an address. */
struct view {
	uint64_t address;
	uint64_t bias;
	const char *path;
	bool is_found;
};

static int look(struct dl_phdr_info *info, size_t size, void *user)
{
	struct view *view = user;

	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		uint64_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

		if (info->dlpi_phdr[i].p_type != PT_LOAD || view->address < start ||
		    view->address >= start + info->dlpi_phdr[i].p_memsz)
			continue;
		view->bias = info->dlpi_addr;
		view->path = info->dlpi_name;
		view->is_found = true;
		return 1;
	}
	return 0;
}

static void expect_as_the_loader(uint64_t address, const char *name)
{
	struct view view = { .address = address };
	struct sonde__module module;

	dl_iterate_phdr(look, &view);
	assert_true(view.is_found);
	assert_true(sonde__module_find(address, &module));
	assert_true(module.bias == view.bias);
	assert_in_range(address, module.start, module.end - 1);
	assert_string_equal(module.name, name);
	assert_string_equal(module.path, view.path[0] ? view.path : "/proc/self/exe");
	assert_int_equal(module.build_id_size, 20);
	assert_true(sonde__module_is_current(&module));
}

static void test_program_and_libraries(void **state)
{
	(void)state;
	expect_as_the_loader((uint64_t)(uintptr_t)&test_program_and_libraries, "unit-stack-module");
	expect_as_the_loader(address_of(dlsym(RTLD_DEFAULT, "gnu_get_libc_version")), "libc.so.6");
}

static void test_no_module_around(void **state)
{
	struct sonde__module module;
	struct sonde__module before;
	void *heap = malloc(100);
	int local;

	(void)state;
	memset(&module, 0x5a, sizeof(module));
	before = module;
	assert_false(sonde__module_find(0, &module));
	assert_false(sonde__module_find(1, &module));
	assert_false(sonde__module_find(UINT64_MAX, &module));
	assert_false(sonde__module_find(address_of(heap), &module));
	assert_false(sonde__module_find(address_of(&local), &module));
	assert_memory_equal(&module, &before, sizeof(module));
	free(heap);
}

static void test_literals(void **state)
{
	static char variable[] = "a variable";
	static const char constant[] = "a constant";
	char local[] = "a local";
	char text[8];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_false(sonde__literal_read((uintptr_t)variable, text, sizeof(text)));
	assert_false(sonde__literal_read((uintptr_t)local, text, sizeof(text)));
	assert_false(sonde__literal_read(0, text, sizeof(text)));
	assert_false(sonde__literal_read(UINT64_MAX, text, sizeof(text)));
	assert_false(sonde__literal_read((uintptr_t)constant, text, 0));
	assert_memory_equal(text, "xxxxxxxx", sizeof(text));
	assert_true(sonde__literal_read((uintptr_t)constant, text, sizeof(text)));
	assert_string_equal(text, "a const");
	assert_true(sonde__literal_read((uintptr_t)"short", text, sizeof(text)));
	assert_string_equal(text, "short");
	assert_true(sonde__literal_read((uintptr_t)"", text, sizeof(text)));
	assert_string_equal(text, "");
}

static void test_unloaded_module_is_noticed(void **state)
{
	void *library = dlopen(getenv("WALK_PROBE"), RTLD_NOW);
	struct sonde__module module;
	uint64_t address;

	(void)state;
	assert_non_null(library);
	address = address_of(dlsym(library, "probe_walk"));
	expect_as_the_loader(address, "libwalk-probe.so");
	assert_true(sonde__module_find(address, &module));
	assert_int_equal(dlclose(library), 0);
	assert_false(sonde__module_is_current(&module));
	assert_false(sonde__module_find(address, &module));
}

/* There is as long as its file is what it was. */
static void test_a_module_without_a_build_id(void **state)
{
	void *library = dlopen(getenv("BARE_PROBE"), RTLD_NOW);
	struct sonde__module module;
	uint64_t address;

	(void)state;
	assert_non_null(library);
	address = address_of(dlsym(library, "probe_walk"));
	assert_true(sonde__module_find(address, &module));
	assert_int_equal(module.build_id_size, 0);
	assert_true(sonde__module_is_current(&module));
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(module.file); i++) {
		module.file[i]++;
		assert_false(sonde__module_is_current(&module));
		module.file[i]--;
	}
	module.end++;
	assert_false(sonde__module_is_current(&module));
	module.end--;
	assert_true(sonde__module_is_current(&module));
	assert_int_equal(dlclose(library), 0);
	assert_false(sonde__module_is_current(&module));
}

static void test_reads_memory_that_is_gone(void **state)
{
	uint8_t *memory =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t copy[64] = { 0 };

	(void)state;
	assert_true(memory != MAP_FAILED);
	memset(memory, 7, 8192);
	assert_true(sonde__memory_read(address_of(memory), copy, sizeof(copy)));
	assert_int_equal(copy[63], 7);
	assert_int_equal(munmap(memory + 4096, 4096), 0);
	assert_true(sonde__memory_read(address_of(memory) + 4032, copy, 64));
	assert_false(sonde__memory_read(address_of(memory) + 4033, copy, 64));
	assert_false(sonde__memory_read(address_of(memory) + 4096, copy, 1));
	assert_false(sonde__memory_read(0, copy, 1));
	assert_false(sonde__memory_read(UINT64_MAX - 8, copy, 64));
	munmap(memory, 4096);
}

/* As a container's filter has it: forbidden, not fatal. */
static void forbid_process_vm_readv(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(77);
}

static void test_where_the_system_call_is_forbidden(void **state)
{
	uint64_t address = (uint64_t)(uintptr_t)&forbid_process_vm_readv;
	struct sonde__module here;
	struct sonde__module there;
	pid_t child;
	int status;

	(void)state;
	assert_true(sonde__module_find(address, &here));
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		forbid_process_vm_readv();
		_exit(sonde__module_find(address, &there) &&
				      memcmp(&here, &there, sizeof(here)) == 0 &&
				      sonde__module_is_current(&there) &&
				      !sonde__memory_read(0, &there, 8)
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void put_note(uint8_t *notes, uint32_t name_size, uint32_t size, uint32_t type,
		     const char *name)
{
	Elf64_Nhdr head = { .n_namesz = name_size, .n_descsz = size, .n_type = type };

	memcpy(notes, &head, sizeof(head));
	memcpy(notes + sizeof(head), name, strlen(name) + 1);
}

static void test_build_id_in_notes(void **state)
{
	uint8_t notes[64] = { 0 };
	size_t offset = 99;

	(void)state;
	put_note(notes, 4, 20, NT_GNU_BUILD_ID, "GNU");
	assert_int_equal(sonde__build_id_find(notes, 36, &offset), 20);
	assert_int_equal(offset, 16);
	/* Behind another note. */
	put_note(notes, 4, 4, NT_GNU_ABI_TAG, "GNU");
	put_note(notes + 20, 4, 8, NT_GNU_BUILD_ID, "GNU");
	assert_int_equal(sonde__build_id_find(notes, 44, &offset), 8);
	assert_int_equal(offset, 36);
	/* Cut anywhere: none. */
	for (size_t size = 0; size < 44; size++)
		assert_int_equal(sonde__build_id_find(notes, size, &offset), 0);
}

static void test_hostile_notes(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 3, 33, 64, UINT32_MAX, UINT32_MAX - 3, 1u << 31 };
	size_t offset;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* Of its exact size on the heap, so that a sanitizer sees a read past it. */
		uint8_t *notes = calloc(1, 40);

		put_note(notes, 4, sizes[i], NT_GNU_BUILD_ID, "GNU");
		if (sonde__build_id_find(notes, 40, &offset))
			assert_in_range(sizes[i], 1, SONDE__BUILD_ID_MAX);
		put_note(notes, sizes[i], 4, NT_GNU_BUILD_ID, "GNU");
		assert_int_equal(sonde__build_id_find(notes, 40, &offset), 0);
		free(notes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program_and_libraries),
		cmocka_unit_test(test_no_module_around),
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_unloaded_module_is_noticed),
		cmocka_unit_test(test_a_module_without_a_build_id),
		cmocka_unit_test(test_reads_memory_that_is_gone),
		cmocka_unit_test(test_where_the_system_call_is_forbidden),
		cmocka_unit_test(test_build_id_in_notes),
		cmocka_unit_test(test_hostile_notes),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
