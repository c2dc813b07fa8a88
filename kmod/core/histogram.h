/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A log-linear histogram: each octave is cut into 32 equal buckets, so a
 * bucket is never wider than 1/32 of its lower end, and values below 64 are
 * exact. Pure arithmetic over an array of counters that belongs to
 * the caller, who decides how it is shared (the module has one per CPU).
 */
#ifndef MEMX_CORE_HISTOGRAM_H
#define MEMX_CORE_HISTOGRAM_H

#include <linux/types.h>

/* 64 exact values, and 32 buckets for each octave from 2^6 to 2^31. */
enum { MEMX_HISTOGRAM_BUCKETS = 64 + 26 * 32 };

/**
 * memx_histogram_bucket - where a value is counted
 * @value: any; from 2^32 on it counts in the last bucket
 *
 * Return: index below MEMX_HISTOGRAM_BUCKETS.
 */
unsigned int memx_histogram_bucket(__u64 value);

/**
 * memx_histogram_low - the least value that a bucket counts
 * @bucket: index; MEMX_HISTOGRAM_BUCKETS gives the end of the last bucket
 *
 * The greatest value that it counts is one less than the next bucket's least.
 *
 * Return: the value.
 */
__u64 memx_histogram_low(unsigned int bucket);

/**
 * memx_histogram_percentile - the value that so many percent do not exceed
 * @counts: MEMX_HISTOGRAM_BUCKETS counters
 * @percent: 1 to 100
 *
 * Return: the greatest value of the bucket in which the percentile lies, so
 * the answer is never too good; 0 when nothing has been counted.
 */
__u64 memx_histogram_percentile(const __u64 *counts, unsigned int percent);

#endif /* MEMX_CORE_HISTOGRAM_H */
