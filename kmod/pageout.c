// SPDX-License-Identifier: GPL-2.0
/*
 * Paging out for a migration: gently while the guest runs, and then, with
 * everything frozen, to the end.
 *
 * Both get pages from the kernel, which reclaims others for them: page cache
 * is dropped, and anonymous and tmpfs pages are swapped out to this device,
 * those first that were not used for longest. A page that is swapped out takes
 * one of the pages gained for its slot. What is gained beyond that was free or
 * page cache, and is given to the hypervisor: this is self-ballooning, and
 * keeps such pages out of the saved image.
 *
 * The gentle part is a thread. It looks at what comes back while it pages out:
 * the more, the longer it rests; and when most of what goes comes back, what
 * is left is in use, and it ends. So it does when no page can be gained any
 * more, and when its time is up. From then on, until the guest is frozen or half
 * a minute has passed, it pages out what is left as well, in use or not.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/vmstat.h>

#include "memx.h"

/*
 * The kernel tries hard, but has nobody killed. Zeros, as the next owner of the
 * frame must not see what this guest had in it.
 */
#define MEMX_PAGEOUT_GFP \
	(GFP_HIGHUSER_MOVABLE | __GFP_RETRY_MAYFAIL | __GFP_NOWARN | __GFP_ZERO)

/* Pages gained before the thread looks at what that has done. */
#define MEMX_PAGEOUT_STEP 64
#define MEMX_PAGEOUT_MAX_REST (HZ / 4)
/* How often the host is told how far it is. */
#define MEMX_PAGEOUT_TELL HZ
/* So many pages must have gone lately before those that come back count. */
#define MEMX_PAGEOUT_LEAST 512
/* What is taken back when a write found no page for its slot. */
#define MEMX_PAGEOUT_TAKE_BACK 1024
/*
 * How few the freeze can be left, as they take it no time; and how long a host
 * may take to suspend the guest before programs can keep what they take back.
 */
#define MEMX_PAGEOUT_HOLD_PAGES 512
#define MEMX_PAGEOUT_HOLD_LIMIT (30 * HZ)
/* One failure to gain a page says little: reclaim may be waiting for writes. */
#define MEMX_PAGEOUT_GENTLE_FAILURES 4
#define MEMX_PAGEOUT_FROZEN_FAILURES 20
/* Of so few nothing is reclaimed, and to try takes 20 ms where that is emulated. */
#define MEMX_PAGEOUT_FROZEN_PAGES 128
/* Downtime has a limit even if reclaim has none. */
#define MEMX_PAGEOUT_FROZEN_LIMIT (60 * HZ)
/* Left free for what is still to be done before the guest is suspended. */
#define MEMX_PAGEOUT_SPARE_PAGES 256
/* What the kernel keeps for emergencies is free memory too, all but so much. */
#define MEMX_PAGEOUT_RESERVE_GFP \
	(GFP_NOWAIT | __GFP_HIGHMEM | __GFP_MEMALLOC | __GFP_NOWARN | __GFP_ZERO)
#define MEMX_PAGEOUT_LAST_PAGES 512

/* Gain a page: for the pool, which slots are filled from, or to be given away. */
static bool memx_pageout_gain(struct memx_pageout *pageout)
{
	struct page *page = alloc_page(MEMX_PAGEOUT_GFP);

	if (!page)
		return false;
	if (!memx_pool_put(pageout->dev, page)) {
		list_add(&page->lru, &pageout->gained);
		pageout->count++;
	}
	return true;
}

static void memx_pageout_give(struct memx_pageout *pageout)
{
	pageout->count = 0;
	memx_balloon_give(&pageout->dev->pseudo->balloon, &pageout->gained);
}

/**
 * struct memx_pageout_rate - how paging out goes
 * @writes: of the device, when last looked at
 * @reads: likewise
 * @relieved: pages that memory pressure has taken out of the balloon, likewise
 * @gone: pages that went out, those of long ago counting less
 * @back: pages that came back, or were taken by others, likewise
 * @rest: how long to rest, in jiffies
 */
struct memx_pageout_rate {
	u64 writes;
	u64 reads;
	u64 relieved;
	u64 gone;
	u64 back;
	unsigned long rest;
};

/* Return whether there is more to be gained than lost by going on. */
static bool memx_pageout_look(struct memx_pageout *pageout,
			      struct memx_pageout_rate *rate)
{
	struct memx_device *dev = pageout->dev;
	u64 writes = memx_stat_sum(dev, MEMX_WRITES);
	u64 reads = memx_stat_sum(dev, MEMX_READS);
	u64 relieved = READ_ONCE(dev->pseudo->balloon.relieved);
	u64 gone = writes - rate->writes;
	u64 back = reads - rate->reads + relieved - rate->relieved;

	rate->writes = writes;
	rate->reads = reads;
	rate->relieved = relieved;
	rate->gone = rate->gone * 15 / 16 + gone;
	rate->back = rate->back * 15 / 16 + back;
	if (back * 4 > gone)
		rate->rest = clamp(rate->rest * 2, 1UL,
				   (unsigned long)MEMX_PAGEOUT_MAX_REST);
	else
		rate->rest /= 2;
	return rate->gone < MEMX_PAGEOUT_LEAST ||
	       rate->back * 4 < rate->gone * 3;
}

/* Give what was gained back to the kernel. */
static void memx_pageout_return(struct memx_pageout *pageout)
{
	put_pages_list(&pageout->gained);
	pageout->count = 0;
}

/* Gain some pages. Return NULL, or why no more are to be had, for the log. */
static const char *memx_pageout_step(struct memx_pageout *pageout,
				     unsigned int *failures)
{
	struct memx_balloon *balloon = &pageout->dev->pseudo->balloon;
	u64 errors;
	unsigned int i;

	for (i = 0; i < MEMX_PAGEOUT_STEP; i++) {
		if (READ_ONCE(balloon->exhausted)) {
			memx_pageout_return(pageout);
			return "the guest needs all that is left";
		}
		if (memx_pageout_gain(pageout))
			*failures = 0;
		else if (++*failures == MEMX_PAGEOUT_GENTLE_FAILURES)
			return "nothing more to be gained";
	}
	if (pageout->count >= MEMX_XEN_BATCH_PAGES)
		memx_pageout_give(pageout);
	/* Too much was given away: slots have no pages. */
	errors = memx_stat_sum(pageout->dev, MEMX_ERRORS);
	if (errors > pageout->errors)
		memx_balloon_take(balloon, MEMX_PAGEOUT_TAKE_BACK);
	pageout->errors = errors;
	return NULL;
}

/* Return why it ended, for the log. */
static const char *memx_pageout_gently(struct memx_pageout *pageout)
{
	unsigned long end = jiffies + pageout->limit_s * HZ;
	unsigned long told = jiffies;
	struct memx_pageout_rate rate = {};
	unsigned int failures = 0;
	const char *why;

	memx_pageout_look(pageout, &rate);
	rate.gone = 0;
	rate.back = 0;
	while (!kthread_should_stop()) {
		why = memx_pageout_step(pageout, &failures);
		if (why)
			return why;
		if (time_after(jiffies, told + MEMX_PAGEOUT_TELL)) {
			told = jiffies;
			memx_pseudo_progress(pageout->dev);
		}
		if (!memx_pageout_look(pageout, &rate))
			return "what is left is in use";
		if (time_after(jiffies, end))
			return "its time is up";
		if (rate.rest)
			schedule_timeout_interruptible(rate.rest);
		else
			cond_resched();
	}
	return "stopped";
}

/* Pages of programs, and page cache, in memory. */
static unsigned long memx_pageout_resident(void)
{
	return global_node_page_state(NR_INACTIVE_ANON) +
	       global_node_page_state(NR_ACTIVE_ANON) +
	       global_node_page_state(NR_INACTIVE_FILE) +
	       global_node_page_state(NR_ACTIVE_FILE);
}

/*
 * Until the guest is frozen, while the host sends what the page-out has changed
 * and starts to suspend it. What programs take back in these seconds they would
 * stand still for, so now it goes again whether or not it is in use.
 */
static void memx_pageout_hold(struct memx_pageout *pageout)
{
	const bool *exhausted = &pageout->dev->pseudo->balloon.exhausted;
	unsigned long end = jiffies + MEMX_PAGEOUT_HOLD_LIMIT;
	unsigned int failures = 0;

	while (!kthread_should_stop() && !READ_ONCE(*exhausted) &&
	       time_before(jiffies, end)) {
		if (memx_pageout_resident() > MEMX_PAGEOUT_HOLD_PAGES &&
		    !memx_pageout_step(pageout, &failures)) {
			cond_resched();
			continue;
		}
		failures = 0;
		schedule_timeout_interruptible(1);
	}
	memx_pageout_give(pageout);
}

static int memx_pageout_thread(void *data)
{
	struct memx_pageout *pageout = data;
	struct memx_device *dev = pageout->dev;
	unsigned long began = jiffies;
	const char *why;

	pageout->errors = memx_stat_sum(dev, MEMX_ERRORS);
	WRITE_ONCE(dev->pseudo->balloon.exhausted, false);
	WRITE_ONCE(dev->pseudo->balloon.presser, current);
	why = memx_pageout_gently(pageout);
	memx_pageout_give(pageout);
	pr_info("memx%d: paged out in %u ms, %s: %llu slots hold a page, %llu pages are given back\n",
		dev->id, jiffies_to_msecs(jiffies - began), why,
		memx_slots_used(dev), READ_ONCE(dev->pseudo->balloon.count));
	if (!kthread_should_stop()) {
		memx_pseudo_prepared(dev);
		memx_pageout_hold(pageout);
	}
	WRITE_ONCE(dev->pseudo->balloon.presser, NULL);
	while (!kthread_should_stop()) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (!kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
	}
	return 0;
}

/**
 * memx_pageout_start - begin to page out gently
 * @pageout: the page-out
 * @limit_s: for at most so many seconds
 *
 * When it ends by itself, it calls memx_pseudo_prepared().
 *
 * Return: 0 or why not.
 */
int memx_pageout_start(struct memx_pageout *pageout, unsigned int limit_s)
{
	struct task_struct *task;

	pageout->limit_s = limit_s;
	task = kthread_run(memx_pageout_thread, pageout, "memx%d_pageout",
			   pageout->dev->id);
	if (IS_ERR(task))
		return PTR_ERR(task);
	pageout->task = task;
	return 0;
}

/**
 * memx_pageout_stop - stop paging out gently, if that is under way
 * @pageout: the page-out
 */
void memx_pageout_stop(struct memx_pageout *pageout)
{
	if (pageout->task)
		kthread_stop(pageout->task);
	pageout->task = NULL;
}

/**
 * memx_pageout_frozen - page out everything that can be
 * @pageout: the page-out, stopped; all tasks are frozen
 *
 * What was free is given away, except for a little.
 */
void memx_pageout_frozen(struct memx_pageout *pageout)
{
	struct memx_balloon *balloon = &pageout->dev->pseudo->balloon;
	unsigned long end = jiffies + MEMX_PAGEOUT_FROZEN_LIMIT;
	unsigned int failures = 0, i;

	WRITE_ONCE(balloon->presser, current);
	while (failures < MEMX_PAGEOUT_FROZEN_FAILURES &&
	       time_before(jiffies, end)) {
		if (memx_pageout_gain(pageout)) {
			failures = 0;
		} else {
			if (memx_pageout_resident() < MEMX_PAGEOUT_FROZEN_PAGES)
				break;
			failures++;
			/* There may be no other write that these wait for. */
			memx_late_end(pageout->dev);
		}
		if (pageout->count >= 2 * MEMX_XEN_BATCH_PAGES)
			memx_pageout_give(pageout);
	}
	memx_late_end(pageout->dev);
	for (i = 0; i < MEMX_PAGEOUT_SPARE_PAGES &&
		    !list_empty(&pageout->gained); i++) {
		struct page *page = list_first_entry(&pageout->gained,
						     struct page, lru);

		list_del(&page->lru);
		__free_page(page);
	}
	memx_pageout_give(pageout);
	WRITE_ONCE(balloon->presser, NULL);
}

/**
 * memx_pageout_reserves - give away nearly all that is free, reserves included
 * @pageout: the page-out
 *
 * Hardly anything can be allocated any more after this.
 *
 * Return: how many pages are to have frames again before that is different.
 */
u64 memx_pageout_reserves(struct memx_pageout *pageout)
{
	u64 taken = 0;

	while (global_zone_page_state(NR_FREE_PAGES) >
	       MEMX_PAGEOUT_LAST_PAGES) {
		struct page *page = alloc_page(MEMX_PAGEOUT_RESERVE_GFP);

		if (!page)
			break;
		list_add(&page->lru, &pageout->gained);
		taken++;
	}
	memx_pageout_give(pageout);
	return taken;
}

/**
 * memx_pageout_init - prepare
 * @pageout: all zero
 * @dev: its device
 */
void memx_pageout_init(struct memx_pageout *pageout, struct memx_device *dev)
{
	pageout->dev = dev;
	INIT_LIST_HEAD(&pageout->gained);
}
