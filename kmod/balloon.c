// SPDX-License-Identifier: GPL-2.0
/*
 * Pages without frames: what the guest has given to the hypervisor, and what it
 * came without to another host.
 *
 * They lie in one list until they have frames again and are the kernel's, or
 * spare pages of the device. While a migration is being prepared, and after,
 * memory pressure takes them out: the kernel's shrinkers, and the OOM killer
 * before it kills anybody. When a migration is over, be it done or cancelled, a
 * worker takes all of them out, as fast as the hypervisor gives frames.
 *
 * (Giving free pages back all the time, at the pace of the pressure, would have
 * its place here too.)
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/oom.h>
#include <linux/shrinker.h>
#include <linux/swap.h>

#include "memx.h"

/* When the hypervisor has no frames. */
#define MEMX_BALLOON_RETRY HZ
/*
 * What a page is worth to the kernel's shrinkers, where a usual object is worth
 * 2: mild pressure must not undo all the time what paging out has gained.
 */
#define MEMX_BALLOON_SEEKS 16
/* How many pages the OOM killer is offered. */
#define MEMX_BALLOON_OOM_PAGES 1024

/* Under the lock: move up to a batch of a list's pages into an array. */
static unsigned int memx_balloon_batch(struct memx_balloon *balloon,
				       struct list_head *pages,
				       unsigned int most)
{
	unsigned int count = 0;

	most = min_t(unsigned int, most, MEMX_XEN_BATCH_PAGES);
	while (count < most && !list_empty(pages)) {
		struct page *page = list_first_entry(pages, struct page, lru);

		list_del(&page->lru);
		balloon->batch[count++] = page;
	}
	return count;
}

/**
 * memx_balloon_give - give the frames of pages to the hypervisor
 * @balloon: the balloon
 * @pages: pages of zeros, the balloon's from now on
 */
void memx_balloon_give(struct memx_balloon *balloon, struct list_head *pages)
{
	mutex_lock(&balloon->lock);
	while (!list_empty(pages)) {
		unsigned int count = memx_balloon_batch(balloon, pages,
							MEMX_XEN_BATCH_PAGES);
		unsigned int i, gone = memx_xen_release(balloon->batch, count);

		for (i = 0; i < gone; i++)
			list_add(&balloon->batch[i]->lru, &balloon->pages);
		for (; i < count; i++)
			__free_page(balloon->batch[i]);
		WRITE_ONCE(balloon->count, balloon->count + gone);
		cond_resched();
	}
	mutex_unlock(&balloon->lock);
}

/**
 * memx_balloon_adopt - take care of pages that have lost their frames
 * @balloon: the balloon
 * @pages: the pages, the balloon's from now on
 * @count: how many
 */
void memx_balloon_adopt(struct memx_balloon *balloon, struct list_head *pages,
			u64 count)
{
	mutex_lock(&balloon->lock);
	list_splice_tail_init(pages, &balloon->pages);
	WRITE_ONCE(balloon->count, balloon->count + count);
	mutex_unlock(&balloon->lock);
}

/* Under the lock. What relieves the kernel does not fill the pool. */
static u64 memx_balloon_take_locked(struct memx_balloon *balloon, u64 most,
				    bool relieves)
{
	u64 taken = 0;

	while (taken < most && !list_empty(&balloon->pages)) {
		unsigned int count = memx_balloon_batch(
			balloon, &balloon->pages,
			min_t(u64, most - taken, MEMX_XEN_BATCH_PAGES));
		unsigned int i, got = memx_xen_populate(balloon->batch, count);

		for (i = got; i < count; i++)
			list_add(&balloon->batch[i]->lru, &balloon->pages);
		for (i = 0; i < got; i++)
			if (relieves)
				__free_page(balloon->batch[i]);
			else
				memx_page_give(balloon->dev, balloon->batch[i]);
		WRITE_ONCE(balloon->count, balloon->count - got);
		taken += got;
		if (got < count)
			break;
		cond_resched();
	}
	return taken;
}

/**
 * memx_balloon_take - get frames for pages, and free the pages
 * @balloon: the balloon
 * @most: how many pages at most
 *
 * Return: how many.
 */
u64 memx_balloon_take(struct memx_balloon *balloon, u64 most)
{
	u64 taken;

	mutex_lock(&balloon->lock);
	taken = memx_balloon_take_locked(balloon, most, false);
	mutex_unlock(&balloon->lock);
	return taken;
}

static u64 memx_balloon_relieve_locked(struct memx_balloon *balloon, u64 most)
{
	u64 taken = memx_balloon_take_locked(balloon, most, true);

	balloon->relieved += taken;
	return taken;
}

/* In reclaim nobody waits for the lock: its owner may be giving pages. */
static u64 memx_balloon_relieve(struct memx_balloon *balloon, u64 most)
{
	u64 taken;

	if (!mutex_trylock(&balloon->lock))
		return 0;
	taken = memx_balloon_relieve_locked(balloon, most);
	mutex_unlock(&balloon->lock);
	return taken;
}

static void memx_balloon_work(struct work_struct *work)
{
	struct memx_balloon *balloon = container_of(to_delayed_work(work),
						    struct memx_balloon, work);
	u64 taken;

	if (READ_ONCE(balloon->held))
		return;
	if (!READ_ONCE(balloon->count)) {
		memx_xenstore_write("released", "0");
		return;
	}
	taken = memx_balloon_take(balloon, MEMX_XEN_BATCH_PAGES);
	queue_delayed_work(system_unbound_wq, &balloon->work,
			   taken ? 0 : MEMX_BALLOON_RETRY);
}

/**
 * memx_balloon_hold - pages stay without frames, but for memory pressure
 * @balloon: the balloon
 */
void memx_balloon_hold(struct memx_balloon *balloon)
{
	WRITE_ONCE(balloon->held, true);
	cancel_delayed_work_sync(&balloon->work);
}

/**
 * memx_balloon_drain - let a worker take all pages out
 * @balloon: the balloon
 */
void memx_balloon_drain(struct memx_balloon *balloon)
{
	WRITE_ONCE(balloon->held, false);
	queue_delayed_work(system_unbound_wq, &balloon->work, 0);
}

/**
 * memx_balloon_freeze - nothing takes pages out until memx_balloon_thaw()
 * @balloon: the balloon
 */
void memx_balloon_freeze(struct memx_balloon *balloon)
{
	memx_balloon_hold(balloon);
	WRITE_ONCE(balloon->frozen, true);
}

/**
 * memx_balloon_thaw - the end of memx_balloon_freeze()
 * @balloon: the balloon
 */
void memx_balloon_thaw(struct memx_balloon *balloon)
{
	WRITE_ONCE(balloon->frozen, false);
}

/*
 * The page-out thread makes pressure itself, kswapd helps it, and the worker
 * that fills the pool follows: none of them is a reason to give back what has
 * been gained.
 */
static bool memx_balloon_deaf(const struct memx_balloon *balloon)
{
	struct task_struct *presser = READ_ONCE(balloon->presser);

	return READ_ONCE(balloon->frozen) ||
	       (presser && (presser == current || current_is_kswapd() ||
			    memx_pool_fills(balloon->dev)));
}

static unsigned long memx_balloon_shrinkable(struct memx_balloon *balloon)
{
	return memx_balloon_deaf(balloon) ? 0 : READ_ONCE(balloon->count);
}

static unsigned long memx_balloon_shrink(struct memx_balloon *balloon,
					 unsigned long most)
{
	if (memx_balloon_deaf(balloon))
		return SHRINK_STOP;
	return memx_balloon_relieve(balloon, most) ?: SHRINK_STOP;
}

MEMX_SHRINKER(memx_balloon_shrinker, struct memx_balloon, shrinker,
	      memx_balloon_shrinkable, memx_balloon_shrink, MEMX_BALLOON_SEEKS)

/*
 * Frames that the page-out has taken are to be had from the balloon, and from a
 * pool that is large for it. The page-out itself ends: it would only take them
 * again.
 */
static int memx_balloon_oom(struct notifier_block *block, unsigned long unused,
			    void *freed)
{
	struct memx_balloon *balloon = container_of(block, struct memx_balloon,
						    oom);
	unsigned long *pages = freed;

	if (READ_ONCE(balloon->frozen))
		return NOTIFY_OK;
	WRITE_ONCE(balloon->exhausted, true);
	*pages += memx_pool_resize(balloon->dev, false);
	if (!mutex_trylock(&balloon->lock)) {
		/* Frames come or go just now: nobody need die before the next look. */
		*pages += 1;
		return NOTIFY_OK;
	}
	*pages += memx_balloon_relieve_locked(balloon, MEMX_BALLOON_OOM_PAGES);
	mutex_unlock(&balloon->lock);
	return NOTIFY_OK;
}

/**
 * memx_balloon_create - an empty balloon
 * @balloon: all zero
 * @dev: its device
 *
 * Return: 0 or why not.
 */
int memx_balloon_create(struct memx_balloon *balloon, struct memx_device *dev)
{
	int ret;

	balloon->dev = dev;
	mutex_init(&balloon->lock);
	INIT_LIST_HEAD(&balloon->pages);
	INIT_DELAYED_WORK(&balloon->work, memx_balloon_work);
	ret = memx_balloon_shrinker_add(balloon);
	if (ret)
		return ret;
	balloon->oom.notifier_call = memx_balloon_oom;
	ret = register_oom_notifier(&balloon->oom);
	if (ret)
		memx_balloon_shrinker_remove(balloon);
	return ret;
}

/**
 * memx_balloon_destroy - get all pages back, or lose them
 * @balloon: the balloon; nothing else uses it any more
 */
void memx_balloon_destroy(struct memx_balloon *balloon)
{
	unregister_oom_notifier(&balloon->oom);
	memx_balloon_shrinker_remove(balloon);
	memx_balloon_hold(balloon);
	memx_balloon_take(balloon, U64_MAX);
	if (balloon->count)
		pr_err("memx%d: the hypervisor gives no frames for %llu pages: they are lost to this guest\n",
		       balloon->dev->id, balloon->count);
}
