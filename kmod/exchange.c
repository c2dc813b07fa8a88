// SPDX-License-Identifier: GPL-2.0
/*
 * Writing without copying, while the guest is frozen for a migration.
 *
 * The slot's page and the page being swapped out exchange their machine frames:
 * the slot has the contents then, and the other page an empty frame, which the
 * kernel frees with it. Writes that blk-mq brings together are exchanged
 * together.
 *
 * Only a frozen guest allows that. After it is written, the page is still in
 * the swap cache, where a task could find it, over a frame that is not its own.
 * It is marked as not up to date, so that whoever finds it even so gets an
 * error and no wrong data; and what is still there before the guest is moved
 * gets its contents back (memx_exchange_settle()).
 */
#include <linux/blk-mq.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/spinlock.h>
#include <linux/swap.h>
#include <linux/swapops.h>

#include "memx.h"

/* Frozen, nobody else needs the reserves, and they are soon free again. */
#define MEMX_FROZEN_GFP (GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN)

/**
 * memx_gather_init - prepare
 * @gather: all zero
 */
void memx_gather_init(struct memx_gather *gather)
{
	spin_lock_init(&gather->lock);
}

/**
 * memx_exchange_set - from now on writes exchange frames, or do not
 * @dev: the device, whose pseudo-paging has begun
 * @on: whether they do; only while the guest is frozen
 */
void memx_exchange_set(struct memx_device *dev, bool on)
{
	WRITE_ONCE(dev->pseudo->gather.on, on);
}

/*
 * The page, when reclaim is writing it to this very slot, and no task has it
 * mapped. (Of a swap file on a file system, the slot is another.)
 */
static struct page *memx_exchangeable(struct request *rq)
{
	struct folio *folio = memx_payload_swapcache(rq);

	if (!folio || !folio_test_writeback(folio) || folio_mapped(folio) ||
	    swp_offset(memx_swap_entry(folio)) !=
		    blk_rq_pos(rq) / MEMX_SLOT_SECTORS)
		return NULL;
	return folio_page(folio, 0);
}

/**
 * memx_exchange_commit - exchange what has been gathered
 * @dev: the device
 */
void memx_exchange_commit(struct memx_device *dev)
{
	struct request *rqs[MEMX_XEN_EXCHANGE_PAGES];
	struct memx_gather *gather;
	unsigned int i, count;
	int ret = 0;

	if (!dev->pseudo || !READ_ONCE(dev->pseudo->gather.count))
		return;
	gather = &dev->pseudo->gather;
	spin_lock_bh(&gather->lock);
	count = gather->count;
	gather->count = 0;
	memcpy(rqs, gather->rqs, count * sizeof(*rqs));
	if (count)
		ret = memx_xen_exchange(gather->pages, gather->frames, count);
	for (i = 0; i < count; i++) {
		struct page *page = gather->pages[i];
		struct page *frame = gather->frames[i];

		if (ret) {
			memx_page_give(dev, frame);
			continue;
		}
		folio_clear_uptodate(page_folio(page));
		set_page_private(frame, (unsigned long)page);
		memx_slot_put(dev, blk_rq_pos(rqs[i]) / MEMX_SLOT_SECTORS,
			      frame);
	}
	spin_unlock_bh(&gather->lock);
	for (i = 0; i < count; i++) {
		memx_count(dev, ret ? MEMX_ERRORS : MEMX_WRITES);
		if (ret)
			blk_mq_end_request(rqs[i], BLK_STS_IOERR);
		else
			memx_late_add(dev, rqs[i]);
	}
}

/**
 * memx_exchange_gather - take a write that is to be done by exchanging
 * @dev: the device
 * @rq: a request, not started
 *
 * Return: true when it is, and ends in memx_exchange_commit(); false when it
 * must be copied.
 */
bool memx_exchange_gather(struct memx_device *dev, struct request *rq)
{
	struct memx_gather *gather;
	struct page *page, *frame;
	bool full;

	if (!dev->pseudo || !READ_ONCE(dev->pseudo->gather.on) ||
	    req_op(rq) != REQ_OP_WRITE)
		return false;
	gather = &dev->pseudo->gather;
	page = memx_exchangeable(rq);
	if (!page || memx_payload_is_zero(rq))
		return false;
	frame = memx_page_take(dev);
	if (!frame)
		frame = alloc_page(MEMX_FROZEN_GFP);
	if (!frame)
		return false;
	set_page_private(frame, 0);
	blk_mq_start_request(rq);
	/* Whoever makes it full has it emptied, so there is room. */
	spin_lock_bh(&gather->lock);
	while (gather->count == MEMX_XEN_EXCHANGE_PAGES) {
		spin_unlock_bh(&gather->lock);
		memx_exchange_commit(dev);
		spin_lock_bh(&gather->lock);
	}
	gather->rqs[gather->count] = rq;
	gather->pages[gather->count] = page;
	gather->frames[gather->count] = frame;
	full = ++gather->count == MEMX_XEN_EXCHANGE_PAGES;
	spin_unlock_bh(&gather->lock);
	if (full)
		memx_exchange_commit(dev);
	return true;
}

/* Whether a page is still in the swap cache as an exchange has left it. */
static bool memx_exchange_has_left(struct folio *folio, u64 slot)
{
	return folio_test_swapcache(folio) && !folio_test_uptodate(folio) &&
	       swp_offset(memx_swap_entry(folio)) == slot;
}

/**
 * memx_exchange_settle - give pages that are left in the swap cache their contents
 * @dev: the device; the guest is frozen, and nothing is written any more
 *
 * Their slots are empty afterwards.
 *
 * Return: how many there were.
 */
u64 memx_exchange_settle(struct memx_device *dev)
{
	u64 slot, left = 0;

	for (slot = 0; slot < dev->slots; slot++) {
		struct page *frame = memx_slot_page(dev, slot), *page;
		struct folio *folio;

		if (!frame || !page_private(frame))
			continue;
		page = (struct page *)page_private(frame);
		set_page_private(frame, 0);
		if (!get_page_unless_zero(page))
			continue;
		folio = page_folio(page);
		folio_lock(folio);
		if (memx_exchange_has_left(folio, slot)) {
			copy_page(page_address(page), page_address(frame));
			folio_mark_uptodate(folio);
			folio_mark_dirty(folio);
			memx_slots_free(dev, slot, 1);
			left++;
		}
		folio_unlock(folio);
		put_page(page);
	}
	return left;
}
