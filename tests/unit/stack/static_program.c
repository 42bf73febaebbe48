/* SPDX-License-Identifier: Apache-2.0 */

/* A program without any dynamic loader: its walks are whole and its names are found. */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "stack/stack.h"

static __attribute__((noinline)) size_t innermost(uint64_t *frames, size_t capacity)
{
	size_t n = sonde__stack_walk(frames, capacity);

	__asm__ volatile("" ::: "memory"); /* Not a tail call. */
	return n;
}

static __attribute__((noinline)) void *middle(void *result)
{
	uint64_t frames[8];
	char text[2000];
	size_t n = innermost(frames, 8);

	sonde__stack_format(frames, n, text, sizeof(text));
	*(int *)result = n >= 2 && strstr(text, "#0 middle+0x") &&
					 strstr(text, "(unit-stack-static, build-id ")
				 ? 0
				 : 1;
	if (*(int *)result)
		fputs(text, stderr);
	return NULL;
}

int main(void)
{
	pthread_t thread;
	int first = 1;
	int second = 1;

	middle(&first);
	if (pthread_create(&thread, /* attr= */ NULL, middle, &second) != 0)
		return 1;
	pthread_join(thread, /* result= */ NULL);
	return first || second;
}
