// SPDX-License-Identifier: GPL-2.0
/*
 * A shortage of memory, for tests: for as long as the module is loaded, every
 * every_ms it takes free pages, down to where only what may use the emergency
 * reserves still gets one, and keeps it so for hold_ms: as reclaim frees pages
 * they are taken too, LIMIT_MIB at most. Then all of them go back. However short
 * memory is, none of this needs any; a program could not promise that of itself.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>

#define LIMIT_MIB 8
#define LIMIT_PAGES (LIMIT_MIB << (20 - PAGE_SHIFT))

static unsigned int hold_ms = 20;
module_param(hold_ms, uint, 0444);
MODULE_PARM_DESC(hold_ms, "ms to hold the free memory for");

static unsigned int every_ms = 1000;
module_param(every_ms, uint, 0444);
MODULE_PARM_DESC(every_ms, "ms from one time to the next");

static struct task_struct *shortage_task;

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

static void shortage_hold(void)
{
	unsigned long end = jiffies + msecs_to_jiffies(hold_ms);
	struct page *page, *next;
	unsigned int count = 0;
	LIST_HEAD(held);

	do {
		count = shortage_take(&held, count);
		usleep_range(1000, 2000);
	} while (time_before(jiffies, end));
	list_for_each_entry_safe(page, next, &held, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
}

static int shortage_run(void *unused)
{
	while (!kthread_should_stop()) {
		shortage_hold();
		schedule_timeout_interruptible(msecs_to_jiffies(every_ms));
	}
	return 0;
}

static int __init shortage_init(void)
{
	shortage_task = kthread_run(shortage_run, NULL, "memx_shortage");
	return PTR_ERR_OR_ZERO(shortage_task);
}

static void __exit shortage_exit(void)
{
	kthread_stop(shortage_task);
}

module_init(shortage_init);
module_exit(shortage_exit);

MODULE_DESCRIPTION("Takes free memory for moments, for tests of memx");
MODULE_LICENSE("GPL");
