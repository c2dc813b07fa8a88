// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "histogram.h"

#define STEPS 32
#define STEP_BITS 5
/* Below this every value has a bucket of its own. */
#define EXACT 64
#define EXACT_BITS 6

unsigned int memx_histogram_bucket(__u64 value)
{
	unsigned int octave;

	if (value < EXACT)
		return (unsigned int)value;
	if (value >> 32)
		return MEMX_HISTOGRAM_BUCKETS - 1;
	octave = 31 - (unsigned int)__builtin_clz((__u32)value);
	return EXACT + (octave - EXACT_BITS) * STEPS +
	       ((__u32)value >> (octave - STEP_BITS)) % STEPS;
}

__u64 memx_histogram_low(unsigned int bucket)
{
	unsigned int octave, step;

	if (bucket < EXACT)
		return bucket;
	if (bucket > MEMX_HISTOGRAM_BUCKETS)
		bucket = MEMX_HISTOGRAM_BUCKETS;
	octave = EXACT_BITS + (bucket - EXACT) / STEPS;
	step = (bucket - EXACT) % STEPS;
	return (__u64)(STEPS + step) << (octave - STEP_BITS);
}

__u64 memx_histogram_percentile(const __u64 *counts, unsigned int percent)
{
	__u64 total = 0, seen = 0;
	unsigned int i;

	for (i = 0; i < MEMX_HISTOGRAM_BUCKETS; i++)
		total += counts[i];
	if (!total)
		return 0;
	for (i = 0; i < MEMX_HISTOGRAM_BUCKETS; i++) {
		seen += counts[i];
		/* Multiplied out, as not every kernel divides 64 bits. */
		if (seen * 100 >= total * percent)
			break;
	}
	return memx_histogram_low(i + 1) - 1;
}
