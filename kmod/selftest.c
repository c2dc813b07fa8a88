// SPDX-License-Identifier: GPL-2.0
/*
 * A test of xen.c on the machine itself: insmod memx.ko selftest=1, or any load
 * of a debug build (make MEMX_DEBUG=1).
 *
 * Thousands of pages are exchanged, hidden, and given to the hypervisor and got
 * back, in batches of every size, from as many threads as there are CPUs,
 * while other pages of each thread, their neighbours in the direct map, are
 * read and written. Each round checks every page's contents, and that P2M, M2P
 * and direct map agree on it.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "memx.h"

#define MEMX_SELFTEST_PAGES 768
#define MEMX_SELFTEST_ROUNDS 24
#define MEMX_SELFTEST_MAX_CPUS 8

/**
 * struct memx_selftest - one thread of the test
 * @random: seeded
 * @pages: half are exchanged with the other half
 * @tags: what page i must hold
 * @done: the thread has ended
 * @result: with this
 */
struct memx_selftest {
	struct rnd_state random;
	struct page *pages[MEMX_SELFTEST_PAGES];
	u64 tags[MEMX_SELFTEST_PAGES];
	struct completion done;
	int result;
};

static void memx_selftest_fill(struct memx_selftest *test, unsigned int i)
{
	u64 *words = page_address(test->pages[i]);
	unsigned int j;

	test->tags[i] = ((u64)prandom_u32_state(&test->random) << 32) | 1;
	for (j = 0; j < PAGE_SIZE / sizeof(*words); j++)
		words[j] = test->tags[i] + j * 0x9e3779b97f4a7c15ULL;
}

static bool memx_selftest_holds(struct memx_selftest *test, unsigned int i)
{
	const u64 *words = page_address(test->pages[i]);
	unsigned int j;

	for (j = 0; j < PAGE_SIZE / sizeof(*words); j++)
		if (words[j] != test->tags[i] + j * 0x9e3779b97f4a7c15ULL)
			return false;
	return true;
}

static int memx_selftest_check(struct memx_selftest *test, const char *after)
{
	unsigned int i;

	for (i = 0; i < MEMX_SELFTEST_PAGES; i++) {
		if (!memx_xen_consistent(test->pages[i])) {
			pr_err("memx: self-test: after %s P2M, M2P and direct map disagree on PFN %lx\n",
			       after, page_to_pfn(test->pages[i]));
			return -EIO;
		}
		if (!memx_selftest_holds(test, i)) {
			pr_err("memx: self-test: after %s PFN %lx holds the wrong contents\n",
			       after, page_to_pfn(test->pages[i]));
			return -EIO;
		}
	}
	return 0;
}

static unsigned int memx_selftest_some(struct memx_selftest *test,
				       unsigned int most)
{
	return 1 + prandom_u32_state(&test->random) % most;
}

static int memx_selftest_exchange(struct memx_selftest *test)
{
	unsigned int half = MEMX_SELFTEST_PAGES / 2, from = 0;

	while (from < half) {
		unsigned int i, n = memx_selftest_some(test,
				min_t(unsigned int, half - from,
				      MEMX_XEN_EXCHANGE_PAGES));
		int ret = memx_xen_exchange(test->pages + from,
					    test->pages + half + from, n);

		if (ret)
			return ret;
		for (i = from; i < from + n; i++)
			swap(test->tags[i], test->tags[half + i]);
		from += n;
	}
	return memx_selftest_check(test, "exchanging");
}

static int memx_selftest_hide(struct memx_selftest *test)
{
	unsigned int n = memx_selftest_some(test, MEMX_XEN_BATCH_PAGES), i;
	int ret = memx_xen_hide(test->pages, n);

	if (ret)
		return ret;
	for (i = 0; i < n; i++)
		if (!memx_xen_consistent(test->pages[i]))
			return -EIO;
	/* What is not hidden must stay as usable as it was. */
	for (i = n; i < MEMX_SELFTEST_PAGES; i++)
		memx_selftest_fill(test, i);
	ret = memx_xen_unhide(test->pages, n);
	return ret ?: memx_selftest_check(test, "hiding");
}

static int memx_selftest_release(struct memx_selftest *test)
{
	unsigned int n = memx_selftest_some(test, MEMX_XEN_BATCH_PAGES), i;
	unsigned int gone = memx_xen_release(test->pages, n), back = 0;

	if (gone != n)
		pr_err("memx: self-test: gave back %u pages of %u\n", gone, n);
	while (back < gone) {
		unsigned int got = memx_xen_populate(test->pages + back,
						     gone - back);

		if (!got) {
			pr_err("memx: self-test: got %u pages of %u again\n",
			       back, gone);
			/* They cannot even be freed. */
			for (i = back; i < gone; i++)
				test->pages[i] = NULL;
			return -ENOMEM;
		}
		back += got;
	}
	for (i = 0; i < gone; i++)
		memx_selftest_fill(test, i);
	return gone == n ? memx_selftest_check(test, "giving back") : -EIO;
}

static int memx_selftest_thread(void *data)
{
	struct memx_selftest *test = data;
	unsigned int i, round;
	int ret = 0;

	for (i = 0; i < MEMX_SELFTEST_PAGES && !ret; i++) {
		test->pages[i] = alloc_page(GFP_KERNEL);
		if (test->pages[i])
			memx_selftest_fill(test, i);
		else
			ret = -ENOMEM;
	}
	for (round = 0; round < MEMX_SELFTEST_ROUNDS && !ret; round++) {
		ret = memx_selftest_exchange(test);
		if (!ret)
			ret = memx_selftest_hide(test);
		if (!ret)
			ret = memx_selftest_release(test);
		cond_resched();
	}
	for (i = 0; i < MEMX_SELFTEST_PAGES; i++)
		if (test->pages[i])
			__free_page(test->pages[i]);
	test->result = ret;
	kthread_complete_and_exit(&test->done, 0);
}

/**
 * memx_selftest - test the exchange of frames, on all CPUs
 *
 * Return: 0 when everything held; -ENODEV when this is no Xen PV guest; or why
 * not, and the log says more.
 */
int memx_selftest(void)
{
	unsigned int cpus = min_t(unsigned int, num_online_cpus(),
				  MEMX_SELFTEST_MAX_CPUS);
	u32 seed = get_random_u32();
	struct memx_selftest *tests;
	unsigned int i;
	int ret = 0;

	if (!memx_xen_guest()) {
		pr_err("memx: self-test: this is no Xen PV guest\n");
		return -ENODEV;
	}
	tests = kvcalloc(cpus, sizeof(*tests), GFP_KERNEL);
	if (!tests)
		return -ENOMEM;
	for (i = 0; i < cpus; i++) {
		struct task_struct *task;

		prandom_seed_state(&tests[i].random, seed + i);
		init_completion(&tests[i].done);
		task = kthread_run(memx_selftest_thread, &tests[i],
				   "memx_selftest/%u", i);
		if (IS_ERR(task)) {
			tests[i].result = PTR_ERR(task);
			complete(&tests[i].done);
		}
	}
	for (i = 0; i < cpus; i++) {
		wait_for_completion(&tests[i].done);
		ret = ret ?: tests[i].result;
	}
	kvfree(tests);
	pr_info("memx: self-test %s: %u CPUs, seed %u; hypercalls/pages: exchange %llu/%llu hide %llu/%llu unhide %llu/%llu release %llu/%llu populate %llu/%llu\n",
		ret ? "FAILED" : "passed", cpus, seed,
		memx_xen_hypercalls(MEMX_XEN_EXCHANGE),
		memx_xen_pages(MEMX_XEN_EXCHANGE),
		memx_xen_hypercalls(MEMX_XEN_HIDE),
		memx_xen_pages(MEMX_XEN_HIDE),
		memx_xen_hypercalls(MEMX_XEN_UNHIDE),
		memx_xen_pages(MEMX_XEN_UNHIDE),
		memx_xen_hypercalls(MEMX_XEN_RELEASE),
		memx_xen_pages(MEMX_XEN_RELEASE),
		memx_xen_hypercalls(MEMX_XEN_POPULATE),
		memx_xen_pages(MEMX_XEN_POPULATE));
	return ret;
}
