/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One pointer for each kind of provider. They are set by constructors, before anything is recorded,
 * but nothing depends on that: what was read once stays valid.
 */

#include "stack/provider.h"

#include <stdatomic.h>

static const struct sonde_stack_provider *_Atomic stack_provider;
static const struct sonde_symbol_provider *_Atomic symbol_provider;

const struct sonde_stack_provider *sonde__stack_provider(void)
{
	/* A1: acquire, pairs with R1: the struct's contents are seen with its address. */
	return atomic_load_explicit(&stack_provider, memory_order_acquire);
}

int sonde_stack_provider_register(const struct sonde_stack_provider *provider)
{
	const struct sonde_stack_provider *none = NULL;

	if (!provider) {
		/* Relaxed: nothing is published. */
		atomic_store_explicit(&stack_provider, NULL, memory_order_relaxed);
		return SONDE_OK;
	}
	if (provider->size < sizeof(*provider) || !provider->name || !provider->walk)
		return SONDE_E_INVALID;
	/* R1: release, pairs with A1. Failure reads an address that is only compared. */
	if (atomic_compare_exchange_strong_explicit(&stack_provider, &none, provider,
						    memory_order_release, memory_order_relaxed))
		return SONDE_OK;
	return none == provider ? SONDE_OK : SONDE_E_EXISTS;
}

const struct sonde_symbol_provider *sonde__symbol_provider(void)
{
	/* A2: acquire, pairs with R2, as A1 with R1. */
	return atomic_load_explicit(&symbol_provider, memory_order_acquire);
}

int sonde_symbol_provider_register(const struct sonde_symbol_provider *provider)
{
	const struct sonde_symbol_provider *none = NULL;

	if (!provider) {
		/* Relaxed: nothing is published. */
		atomic_store_explicit(&symbol_provider, NULL, memory_order_relaxed);
		return SONDE_OK;
	}
	if (provider->size < sizeof(*provider) || !provider->name || !provider->resolve ||
	    !provider->abandon || !provider->clear)
		return SONDE_E_INVALID;
	/* R2: release, pairs with A2. Failure reads an address that is only compared. */
	if (atomic_compare_exchange_strong_explicit(&symbol_provider, &none, provider,
						    memory_order_release, memory_order_relaxed))
		return SONDE_OK;
	return none == provider ? SONDE_OK : SONDE_E_EXISTS;
}
