// SPDX-License-Identifier: GPL-2.0
/*
 * A shortage of memory to order, for tests.
 *
 *	echo MS > /sys/module/memx_shortage/parameters/hold_ms
 *
 * takes free pages, down to where only what may use the emergency reserves
 * still gets one, and keeps it so for MS ms: as reclaim frees pages they are
 * taken too, LIMIT_MIB at most. Then all of them go back. However short memory
 * is, the end needs none; user space could not promise that of itself.
 */
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>

#define LIMIT_MIB 32
#define LIMIT_PAGES (LIMIT_MIB << (20 - PAGE_SHIFT))
#define MAX_HOLD_MS 1000

static unsigned int shortage_take(struct list_head *held, unsigned int count)
{
	struct page *page;

	while (count < LIMIT_PAGES) {
		page = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
		if (!page)
			break;
		list_add(&page->lru, held);
		count++;
	}
	return count;
}

static int shortage_hold(const char *text, const struct kernel_param *param)
{
	struct page *page, *next;
	unsigned int count = 0;
	unsigned long end;
	unsigned int ms;
	LIST_HEAD(held);
	int err;

	err = kstrtouint(text, 0, &ms);
	if (err)
		return err;
	if (ms > MAX_HOLD_MS)
		return -ERANGE;
	end = jiffies + msecs_to_jiffies(ms);
	do {
		count = shortage_take(&held, count);
		usleep_range(1000, 2000);
	} while (time_before(jiffies, end));
	list_for_each_entry_safe(page, next, &held, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	return 0;
}

static const struct kernel_param_ops shortage_ops = {
	.set = shortage_hold,
};
module_param_cb(hold_ms, &shortage_ops, NULL, 0200);
MODULE_PARM_DESC(hold_ms, "ms to hold the free memory for, at most 1000");

MODULE_DESCRIPTION("Takes free memory for a moment, for tests of memx");
MODULE_LICENSE("GPL");
