// SPDX-License-Identifier: GPL-2.0
/*
 * The slot map of a pseudo-paging device: what each slot holds.
 *
 *	             write, push, fetch
 *	EMPTY  ------------------------> LOCAL    the page is here
 *	  ^ ^                              |
 *	  | +--- free; read by swap -------+
 *	  |                                | the guest has moved
 *	  +--- free; fetch by swap --- REMOTE     the page is at the source
 *
 * An empty slot reads as zeros, and a page of zeros is stored as an empty slot.
 *
 * A page that is read into the swap cache leaves its slot: the page in the
 * cache is marked dirty, so the kernel writes it again before it forgets it. So
 * memory is never held twice, and what a task uses is not moved as a slot's
 * page as well.
 *
 * Slots lie in one array of 16 bytes a slot, 0.4 % of the device, made when the
 * device is; the frame tree limits their number (MEMX_FRAMES_MAX_SLOTS). The
 * page path takes pages from the free ones, without reclaim, which it may well
 * run under; and when there are none, from a small pool that a worker fills.
 */
#include <linux/highmem.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "memx.h"
#include "memx_frames.h"

#define MEMX_SLOT_LOCKS 64

/*
 * What a burst of reclaim, or a window of pushes, takes at a time, and more; but
 * at most a 64th of memory ...
 */
#define MEMX_POOL_PAGES 512
#define MEMX_POOL_SHIFT 6
/* ... and what several at once may have written and not freed yet: a 16th of memory. */
#define MEMX_POOL_LARGE_SHIFT 4

/*
 * Runs under reclaim: no waiting. Reclaim begins when hardly more is free than
 * the reserves, so a part of them must do until what is written is freed; all
 * of them must not, as a page written here frees no more than it takes.
 */
#define MEMX_PAGE_GFP (GFP_ATOMIC | __GFP_NOMEMALLOC | __GFP_NOWARN)
/* The worker may wait, but must not have anybody killed. */
#define MEMX_REFILL_GFP (GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)

/**
 * struct memx_slot - one slot
 * @page: the page, when it is LOCAL
 * @stamp: counts the writes of the device; that of this slot's
 * @state: enum memx_slot_state
 * @pushed: the page has come by push, and nothing has read it yet
 */
struct memx_slot {
	struct page *page;
	u64 stamp : 60;
	u64 state : 2;
	u64 pushed : 1;
};

struct memx_slot_lock {
	spinlock_t lock;
} ____cacheline_aligned_in_smp;

/**
 * struct memx_slots - the slot map of a device
 * @slot: the slots
 * @count: how many
 * @locks: slot i is protected by lock i % MEMX_SLOT_LOCKS; softirqs off
 * @sealed: nothing is freed
 * @stamp: of the newest write
 * @used: slots that are LOCAL
 * @missing: slots that are REMOTE
 * @unread: pages that have come by push and were never read
 * @pool_lock: protects @pool, @pooled, @pool_limit and @pool_closed; softirqs
 *	off
 * @pool: spare pages
 * @pooled: how many
 * @pool_limit: how many at most
 * @pool_closed: nothing is put in
 * @refill: fills the pool
 * @filler: the task that does so now, or NULL
 */
struct memx_slots {
	struct memx_slot *slot;
	u64 count;
	bool sealed;
	struct memx_slot_lock locks[MEMX_SLOT_LOCKS];
	atomic64_t stamp;
	atomic64_t used;
	atomic64_t missing;
	atomic64_t unread;
	spinlock_t pool_lock;
	struct list_head pool;
	unsigned long pooled;
	unsigned long pool_limit;
	bool pool_closed;
	struct work_struct refill;
	struct task_struct *filler;
};

static spinlock_t *memx_slot_lock(struct memx_slots *map, u64 slot)
{
	return &map->locks[slot % MEMX_SLOT_LOCKS].lock;
}

/*
 * Change what a slot holds; under its lock. Return the page that it held, for
 * the caller to free after the lock; @gone says whether the last slot that was
 * missing is missing no more.
 */
static struct page *memx_slot_set(struct memx_slots *map,
				  struct memx_slot *slot,
				  enum memx_slot_state state,
				  struct page *page, bool *gone)
{
	struct page *old = slot->page;

	*gone = false;
	if (slot->state == MEMX_SLOT_LOCAL)
		atomic64_dec(&map->used);
	if (state == MEMX_SLOT_LOCAL)
		atomic64_inc(&map->used);
	if (state == MEMX_SLOT_REMOTE && slot->state != MEMX_SLOT_REMOTE)
		atomic64_inc(&map->missing);
	if (state != MEMX_SLOT_REMOTE && slot->state == MEMX_SLOT_REMOTE)
		*gone = atomic64_dec_and_test(&map->missing);
	slot->page = page;
	slot->state = state;
	slot->pushed = false;
	return old;
}

/* A slot is freed or written, so what is missing of it need not come. */
static void memx_slot_outdate(struct memx_device *dev,
			      const struct memx_slot *slot)
{
	if (slot->state == MEMX_SLOT_REMOTE && memx_postcopy_is_on(dev))
		memx_count(dev, MEMX_OUTDATED_PAGES);
}

/* After the lock: what memx_slot_set() has left to do. */
static void memx_slot_settle(struct memx_device *dev, struct page *old,
			     bool gone)
{
	if (old)
		memx_page_give(dev, old);
	if (gone)
		memx_session_kick(dev);
}

/**
 * memx_slot_read - fill a request's page from its slot
 * @dev: the device
 * @slot: the slot
 * @rq: a READ
 *
 * Return: true; or false when the page is at the source.
 */
bool memx_slot_read(struct memx_device *dev, u64 slot, struct request *rq)
{
	struct memx_slots *map = dev->map;
	struct memx_slot *held = &map->slot[slot];
	struct folio *folio = memx_payload_swapcache(rq);
	struct page *old = NULL;
	bool here = true, gone = false;

	spin_lock_bh(memx_slot_lock(map, slot));
	switch (held->state) {
	case MEMX_SLOT_EMPTY:
		memx_payload_zero(rq, 0, RMAP_PAGE_BYTES);
		break;
	case MEMX_SLOT_LOCAL:
		memx_payload_load(rq, held->page);
		if (held->pushed) {
			held->pushed = false;
			atomic64_dec(&map->unread);
			memx_count(dev, MEMX_MINOR_FAULTS);
		}
		/* Locked, it is being read; else it is only looked at. */
		if (folio && folio_test_locked(folio)) {
			folio_mark_dirty(folio);
			old = memx_slot_set(map, held, MEMX_SLOT_EMPTY, NULL,
					    &gone);
		}
		break;
	case MEMX_SLOT_REMOTE:
		here = false;
		break;
	}
	spin_unlock_bh(memx_slot_lock(map, slot));
	memx_slot_settle(dev, old, gone);
	return here;
}

/**
 * memx_slot_put - let a slot hold a page, as the newest write
 * @dev: the device
 * @slot: the slot
 * @page: the page, the map's from now on; NULL for zeros
 */
void memx_slot_put(struct memx_device *dev, u64 slot, struct page *page)
{
	struct memx_slots *map = dev->map;
	struct memx_slot *held = &map->slot[slot];
	struct page *old;
	bool gone;

	spin_lock_bh(memx_slot_lock(map, slot));
	memx_slot_outdate(dev, held);
	old = memx_slot_set(map, held,
			    page ? MEMX_SLOT_LOCAL : MEMX_SLOT_EMPTY, page,
			    &gone);
	held->stamp = atomic64_inc_return(&map->stamp);
	spin_unlock_bh(memx_slot_lock(map, slot));
	memx_slot_settle(dev, old, gone);
}

/**
 * memx_slot_write - copy a request's page into its slot
 * @dev: the device
 * @slot: the slot
 * @rq: a WRITE
 *
 * Return: BLK_STS_OK, or BLK_STS_IOERR when there is no page to copy it to; the
 * slot is as it was then, and swap keeps its page.
 */
blk_status_t memx_slot_write(struct memx_device *dev, u64 slot,
			     struct request *rq)
{
	struct page *page = NULL;

	if (memx_payload_is_zero(rq)) {
		memx_count(dev, MEMX_ZERO_PAGES);
	} else {
		page = memx_page_take(dev);
		if (!page)
			return BLK_STS_IOERR;
		memx_payload_store(rq, page);
	}
	memx_slot_put(dev, slot, page);
	return BLK_STS_OK;
}

/**
 * memx_slot_sent - a slot's page is being written to the server
 * @dev: the device
 * @slot: the slot
 */
void memx_slot_sent(struct memx_device *dev, u64 slot)
{
	struct memx_slots *map = dev->map;
	struct memx_slot *held = &map->slot[slot];
	struct page *old;
	bool gone;

	spin_lock_bh(memx_slot_lock(map, slot));
	old = memx_slot_set(map, held, MEMX_SLOT_REMOTE, NULL, &gone);
	held->stamp = atomic64_inc_return(&map->stamp);
	spin_unlock_bh(memx_slot_lock(map, slot));
	memx_slot_settle(dev, old, gone);
}

/**
 * memx_slots_free - slots hold nothing any more
 * @dev: the device
 * @slot: the first slot
 * @count: how many
 */
void memx_slots_free(struct memx_device *dev, u64 slot, u64 count)
{
	struct memx_slots *map = dev->map;
	u64 end = min(map->count, slot + count);

	if (READ_ONCE(map->sealed))
		return;
	for (; slot < end; slot++) {
		struct memx_slot *held = &map->slot[slot];
		struct page *old;
		bool gone;

		spin_lock_bh(memx_slot_lock(map, slot));
		memx_slot_outdate(dev, held);
		old = memx_slot_set(map, held, MEMX_SLOT_EMPTY, NULL, &gone);
		spin_unlock_bh(memx_slot_lock(map, slot));
		memx_slot_settle(dev, old, gone);
	}
}

/**
 * memx_slots_seal - what is freed keeps its page for now, or does not
 * @dev: the device, its queue quiesced
 * @sealed: whether it does: while pages of slots have no frames
 *
 * A slot that should have been freed is so when it is written again.
 */
void memx_slots_seal(struct memx_device *dev, bool sealed)
{
	WRITE_ONCE(dev->map->sealed, sealed);
}

/**
 * memx_slot_arrived - a page has come by push
 * @dev: the device
 * @slot: the slot
 * @page: from memx_page_take(); the map's when the return value is true
 *
 * Return: false when the slot waits for no page any more; it is as it was then.
 */
bool memx_slot_arrived(struct memx_device *dev, u64 slot, struct page *page)
{
	struct memx_slots *map = dev->map;
	struct memx_slot *held = &map->slot[slot];
	bool wanted, gone = false;

	spin_lock_bh(memx_slot_lock(map, slot));
	wanted = held->state == MEMX_SLOT_REMOTE;
	if (wanted) {
		memx_slot_set(map, held, MEMX_SLOT_LOCAL, page, &gone);
		held->pushed = true;
		atomic64_inc(&map->unread);
	}
	spin_unlock_bh(memx_slot_lock(map, slot));
	memx_slot_settle(dev, NULL, gone);
	return wanted;
}

/**
 * memx_slot_fetched - a READ of a remote slot has filled the request's page
 * @dev: the device
 * @slot: the slot
 * @rq: the READ, not ended yet
 *
 * In the swap cache the page is the only copy from now on. Else the slot gets
 * one; when there is no page for it, the slot stays remote.
 */
void memx_slot_fetched(struct memx_device *dev, u64 slot, struct request *rq)
{
	struct memx_slots *map = dev->map;
	struct folio *folio = memx_payload_swapcache(rq);
	bool leaves = folio && folio_test_locked(folio), gone = false;
	struct page *page = NULL, *spare = NULL;
	struct memx_slot *held = &map->slot[slot];

	if (!leaves) {
		page = memx_page_take(dev);
		if (!page)
			return;
		memx_payload_store(rq, page);
	}
	spin_lock_bh(memx_slot_lock(map, slot));
	if (held->state != MEMX_SLOT_REMOTE) {
		spare = page;
	} else if (leaves) {
		folio_mark_dirty(folio);
		memx_slot_set(map, held, MEMX_SLOT_EMPTY, NULL, &gone);
	} else {
		memx_slot_set(map, held, MEMX_SLOT_LOCAL, page, &gone);
	}
	spin_unlock_bh(memx_slot_lock(map, slot));
	memx_slot_settle(dev, spare, gone);
}

/**
 * memx_slot_depart - a page that was here is now at the source only
 * @dev: the device; nothing else uses its slots
 * @slot: the slot
 *
 * Return: the slot's page, now the caller's; NULL when it held none, and then
 * it is as it was.
 */
struct page *memx_slot_depart(struct memx_device *dev, u64 slot)
{
	struct memx_slots *map = dev->map;
	struct memx_slot *held = &map->slot[slot];
	struct page *page = NULL;
	bool gone;

	spin_lock_bh(memx_slot_lock(map, slot));
	if (held->state == MEMX_SLOT_LOCAL)
		page = memx_slot_set(map, held, MEMX_SLOT_REMOTE, NULL, &gone);
	spin_unlock_bh(memx_slot_lock(map, slot));
	return page;
}

/**
 * memx_slot_page - the page of a slot
 * @dev: the device; nothing else uses its slots
 * @slot: the slot
 *
 * Return: the page, still the map's; NULL when the slot holds none.
 */
struct page *memx_slot_page(struct memx_device *dev, u64 slot)
{
	return dev->map->slot[slot].page;
}

/**
 * memx_slot_is_remote - whether a slot's page is at the source
 * @dev: the device
 * @slot: the slot
 *
 * Return: whether it is.
 */
bool memx_slot_is_remote(struct memx_device *dev, u64 slot)
{
	struct memx_slots *map = dev->map;
	bool remote;

	spin_lock_bh(memx_slot_lock(map, slot));
	remote = map->slot[slot].state == MEMX_SLOT_REMOTE;
	spin_unlock_bh(memx_slot_lock(map, slot));
	return remote;
}

/**
 * memx_slot_stamp - when a slot was written
 * @dev: the device
 * @slot: the slot
 *
 * Reclaim writes the page first that was not used for longest, so slots in the
 * order of their stamps are pages in the order of their last use.
 *
 * Return: larger for a later write; 0 when it was never written.
 */
u64 memx_slot_stamp(struct memx_device *dev, u64 slot)
{
	struct memx_slots *map = dev->map;
	u64 stamp;

	spin_lock_bh(memx_slot_lock(map, slot));
	stamp = map->slot[slot].stamp;
	spin_unlock_bh(memx_slot_lock(map, slot));
	return stamp;
}

/**
 * memx_slots_used - slots that hold a page
 * @dev: the device
 *
 * Return: how many.
 */
u64 memx_slots_used(const struct memx_device *dev)
{
	return atomic64_read(&dev->map->used);
}

/**
 * memx_slots_missing - slots whose page is at the source
 * @dev: the device
 *
 * When the last of them is not any more, the session's work is kicked.
 *
 * Return: how many.
 */
u64 memx_slots_missing(const struct memx_device *dev)
{
	return atomic64_read(&dev->map->missing);
}

/**
 * memx_slots_unread - pages that have come by push and were never read
 * @dev: the device
 *
 * Pages that were freed or written again before anybody read them are among
 * them.
 *
 * Return: how many, since memx_slots_count_unread().
 */
u64 memx_slots_unread(const struct memx_device *dev)
{
	return atomic64_read(&dev->map->unread);
}

/**
 * memx_slots_count_unread - count unread pages from none again
 * @dev: the device; nothing else uses its slots
 */
void memx_slots_count_unread(struct memx_device *dev)
{
	struct memx_slots *map = dev->map;
	u64 slot;

	for (slot = 0; slot < map->count; slot++)
		map->slot[slot].pushed = false;
	atomic64_set(&map->unread, 0);
}

/**
 * memx_page_take - a page for a slot
 * @dev: the device
 *
 * Any context but hard interrupts. Never waits.
 *
 * Return: the page, its private field zero, to be put into a slot or given
 * back; NULL when there is none now.
 */
struct page *memx_page_take(struct memx_device *dev)
{
	struct memx_slots *map = dev->map;
	struct page *page = alloc_page(MEMX_PAGE_GFP);
	bool refill;

	if (page)
		return page;
	spin_lock_bh(&map->pool_lock);
	page = list_first_entry_or_null(&map->pool, struct page, lru);
	if (page) {
		list_del(&page->lru);
		map->pooled--;
	}
	refill = !map->pool_closed && map->pooled < map->pool_limit / 2;
	spin_unlock_bh(&map->pool_lock);
	if (refill)
		queue_work(system_unbound_wq, &map->refill);
	if (page)
		set_page_private(page, 0);
	return page;
}

/**
 * memx_page_give - a page is needed no more
 * @dev: the device
 * @page: from memx_page_take(), in no slot
 */
void memx_page_give(struct memx_device *dev, struct page *page)
{
	if (!memx_pool_put(dev, page))
		__free_page(page);
}

/**
 * memx_pool_put - put a page into the pool
 * @dev: the device
 * @page: the page
 *
 * Return: false when the pool is full, or closed, and the page still the
 * caller's.
 */
bool memx_pool_put(struct memx_device *dev, struct page *page)
{
	struct memx_slots *map = dev->map;
	bool put;

	spin_lock_bh(&map->pool_lock);
	put = !map->pool_closed && map->pooled < map->pool_limit;
	if (put) {
		list_add(&page->lru, &map->pool);
		map->pooled++;
	}
	spin_unlock_bh(&map->pool_lock);
	return put;
}

static unsigned long memx_pool_most(bool large)
{
	unsigned long most = min_t(unsigned long, MEMX_POOL_PAGES,
				   totalram_pages() >> MEMX_POOL_SHIFT);

	return large ? max(most, totalram_pages() >> MEMX_POOL_LARGE_SHIFT) :
		       most;
}

/**
 * memx_pool_resize - let the pool be large, while much is paged out, or not
 * @dev: the device
 * @large: whether it is
 *
 * Return: how many pages it has given back to the kernel.
 */
unsigned long memx_pool_resize(struct memx_device *dev, bool large)
{
	struct memx_slots *map = dev->map;
	unsigned long limit = memx_pool_most(large), given = 0;
	LIST_HEAD(surplus);
	struct page *page;

	spin_lock_bh(&map->pool_lock);
	map->pool_limit = limit;
	while (map->pooled > limit) {
		page = list_first_entry(&map->pool, struct page, lru);
		list_move(&page->lru, &surplus);
		map->pooled--;
		given++;
	}
	spin_unlock_bh(&map->pool_lock);
	put_pages_list(&surplus);
	return given;
}

/**
 * memx_pool_close - empty the pool, and keep it so
 * @dev: the device
 * @pages: gets its pages
 */
void memx_pool_close(struct memx_device *dev, struct list_head *pages)
{
	struct memx_slots *map = dev->map;

	spin_lock_bh(&map->pool_lock);
	map->pool_closed = true;
	list_splice_tail_init(&map->pool, pages);
	map->pooled = 0;
	spin_unlock_bh(&map->pool_lock);
	cancel_work_sync(&map->refill);
}

/**
 * memx_pool_open - the end of memx_pool_close()
 * @dev: the device
 */
void memx_pool_open(struct memx_device *dev)
{
	spin_lock_bh(&dev->map->pool_lock);
	dev->map->pool_closed = false;
	spin_unlock_bh(&dev->map->pool_lock);
	queue_work(system_unbound_wq, &dev->map->refill);
}

static void memx_pool_refill(struct work_struct *work)
{
	struct memx_slots *map = container_of(work, struct memx_slots, refill);
	bool more = true;

	WRITE_ONCE(map->filler, current);
	while (more) {
		struct page *page = alloc_page(MEMX_REFILL_GFP);

		if (!page)
			break;
		spin_lock_bh(&map->pool_lock);
		more = !map->pool_closed && map->pooled < map->pool_limit;
		if (more) {
			list_add(&page->lru, &map->pool);
			map->pooled++;
		}
		spin_unlock_bh(&map->pool_lock);
		if (!more)
			__free_page(page);
	}
	WRITE_ONCE(map->filler, NULL);
}

/**
 * memx_pool_fills - whether the current task fills the pool
 * @dev: the device
 *
 * Return: whether it does.
 */
bool memx_pool_fills(const struct memx_device *dev)
{
	return READ_ONCE(dev->map->filler) == current;
}

static void memx_page_unmark(struct page *page, unsigned long *pfns,
			     unsigned long count)
{
	if (page && page_to_pfn(page) < count)
		clear_bit(page_to_pfn(page), pfns);
}

/**
 * memx_slots_unmark - take the device's own pages out of a set of pages
 * @dev: the device
 * @pfns: a bit for each PFN
 * @count: how many bits
 *
 * Pages of slots and spare ones. What comes and goes meanwhile may be missed.
 */
void memx_slots_unmark(struct memx_device *dev, unsigned long *pfns,
		       unsigned long count)
{
	struct memx_slots *map = dev->map;
	struct page *page;
	u64 slot;

	for (slot = 0; slot < map->count; slot++)
		memx_page_unmark(READ_ONCE(map->slot[slot].page), pfns, count);
	spin_lock_bh(&map->pool_lock);
	list_for_each_entry(page, &map->pool, lru)
		memx_page_unmark(page, pfns, count);
	spin_unlock_bh(&map->pool_lock);
}

/**
 * memx_slots_create - the slot map, all slots empty
 * @dev: the device
 * @count: how many slots, at most MEMX_FRAMES_MAX_SLOTS
 *
 * Return: 0 or -ENOMEM.
 */
int memx_slots_create(struct memx_device *dev, u64 count)
{
	struct memx_slots *map = kzalloc(sizeof(*map), GFP_KERNEL);
	unsigned int i;

	BUILD_BUG_ON(sizeof(struct memx_slot) != 16);
	if (!map)
		return -ENOMEM;
	map->slot = vzalloc(array_size(count, sizeof(*map->slot)));
	if (!map->slot) {
		kfree(map);
		return -ENOMEM;
	}
	map->count = count;
	for (i = 0; i < MEMX_SLOT_LOCKS; i++)
		spin_lock_init(&map->locks[i].lock);
	spin_lock_init(&map->pool_lock);
	INIT_LIST_HEAD(&map->pool);
	map->pool_limit = memx_pool_most(false);
	INIT_WORK(&map->refill, memx_pool_refill);
	dev->map = map;
	memx_pool_open(dev);
	return 0;
}

/**
 * memx_slots_destroy - the slot map goes, with all its pages
 * @dev: the device; nothing uses its slots any more
 */
void memx_slots_destroy(struct memx_device *dev)
{
	struct memx_slots *map = dev->map;
	LIST_HEAD(pages);
	u64 slot;

	if (!map)
		return;
	memx_pool_close(dev, &pages);
	put_pages_list(&pages);
	for (slot = 0; slot < map->count; slot++)
		if (map->slot[slot].page)
			__free_page(map->slot[slot].page);
	vfree(map->slot);
	kfree(map);
	dev->map = NULL;
}
