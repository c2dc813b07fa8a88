// SPDX-License-Identifier: GPL-2.0
/*
 * The pages that a saved image of the guest will have: those that can neither
 * be paged out nor be given back, which are mostly the kernel's.
 *
 * Most of them do not change in seconds. So the host is told of them while the
 * guest still runs, can send them ahead, and need not send again what is still
 * the same once the guest is suspended. What it is told is a hint: pages that
 * have come since are in the image all the same, and pages that have gone are
 * not. It is told by a frame tree in which a slot stands for a PFN.
 */
#include <linux/bitops.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/slab.h>

#include <xen/xen.h>
#include <asm/xen/page.h>

#include "memx.h"

/* Whether a saved image would have the page; looked at without a lock. */
static bool memx_resident_is(struct page *page)
{
	struct folio *folio = page_folio(page);

	return !folio_test_lru(folio) || folio_test_unevictable(folio);
}

/* Mark the pages that a saved image would have. */
static void memx_resident_mark(unsigned long *pfns, unsigned long count)
{
	unsigned long pfn = 0;

	while (pfn < count) {
		unsigned long run = 1;

		if (pfn_valid(pfn)) {
			struct page *page = pfn_to_page(pfn);

			/* The allocator's order of a free block; it may change just now. */
			if (PageBuddy(page))
				run = 1UL << min_t(unsigned long,
						   READ_ONCE(page->private),
						   ilog2(MAX_ORDER_NR_PAGES));
			else if (xen_p2m_addr[pfn] != INVALID_P2M_ENTRY &&
				 memx_resident_is(page))
				__set_bit(pfn, pfns);
		}
		pfn += run;
		if (!(pfn % 4096))
			cond_resched();
	}
}

/* Behind the last PFN. The P2M has room for far more. */
static unsigned long memx_resident_end(void)
{
	unsigned long end = 0;
	int node;

	for_each_online_node(node)
		end = max(end, node_end_pfn(node));
	return min(end, xen_p2m_size);
}

static struct page *memx_resident_page(void *data, u64 pfn)
{
	const unsigned long *pfns = data;

	return test_bit(pfn, pfns) ? pfn_to_page(pfn) : NULL;
}

/**
 * memx_resident_publish - tell the host what cannot be paged out
 * @dev: the device, before it pages out for a migration
 *
 * May sleep. Without memory for it the host is not told, and sends all pages
 * once the guest is suspended.
 */
void memx_resident_publish(struct memx_device *dev)
{
	struct list_head *tables = &dev->pseudo->resident;
	unsigned long count = memx_resident_end();
	unsigned long *pfns;
	struct page *root;
	u64 generation;

	pfns = kvcalloc(BITS_TO_LONGS(count), sizeof(*pfns),
			GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
	if (!pfns)
		goto out;
	if (memx_frames_alloc(tables, count))
		goto free;
	memx_resident_mark(pfns, count);
	memx_slots_unmark(dev, pfns, count);
	root = memx_frames_build(tables, count, memx_resident_page, pfns,
				 &generation);
	memx_xenstore_write("resident", "%lx %llx", memx_xen_mfn(root),
			    generation);
free:
	kvfree(pfns);
out:
	if (list_empty(tables))
		pr_info("memx%d: no memory to tell the host what cannot be paged out\n",
			dev->id);
}

/**
 * memx_resident_forget - the end of memx_resident_publish(), if that was called
 * @dev: the device
 */
void memx_resident_forget(struct memx_device *dev)
{
	put_pages_list(&dev->pseudo->resident);
}
