/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin in C++ that raises; as a program of its own with -DPROGRAM. */

#include <sonde/sonde.h>

#define KEPT __attribute__((noinline, noclone))

namespace shop {

template <typename T> struct Cart {
	T total;
	KEPT int add(T price);
};

template <typename T> KEPT int Cart<T>::add(T price)
{
	struct sonde_error *error = sonde_error_raise(&sonde_internal, "price %d", (int)price);

	sonde_error_capture(error);
	sonde_error_free(error);
	return (int)(total + price);
}

} // namespace shop

extern "C" __attribute__((visibility("default"))) int plugin_go(int number)
{
	shop::Cart<long> cart = { 2 };

	return cart.add(number);
}

#ifdef PROGRAM
int main()
{
	struct sonde_agent *agent;

	if (sonde_agent_start(nullptr, &agent) != SONDE_OK || plugin_go(1) != 3)
		return 1;
	return sonde_agent_stop(agent, 20000) == SONDE_OK ? 0 : 2;
}
#endif
