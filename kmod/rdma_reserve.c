// SPDX-License-Identifier: GPL-2.0
/*
 * Memory for the kernel's connection manager.
 *
 * To connect again it allocates where it may not touch the kernel's reserves,
 * as for the answer to each datagram in ib_mad_recv_done(). When all memory is
 * used up, it then swaps a page out, and waits for the connection that waits
 * for it. So a device with a session keeps some pages, and frees them when its
 * connection ends, before it makes another: with the reserves all used up,
 * these alone bring the free pages back to where everybody may allocate.
 *
 * Others may take them first. But a task that is reclaiming already waits for
 * its own swap request, and does not try to allocate again before that ends.
 */
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/workqueue.h>

#include "rdma.h"

/* Smaller blocks stay on per-CPU lists when freed, where no watermark counts them. */
#define MEMX_RDMA_RESERVE_ORDER (PAGE_ALLOC_COSTLY_ORDER + 1)
#define MEMX_RDMA_RESERVE_MAX_KIB (16UL << 10)
/* Only what is free anyway: nothing is reclaimed or moved for it. */
#define MEMX_RDMA_RESERVE_GFP __GFP_NOWARN
#define MEMX_RDMA_RESERVE_RETRY (10 * HZ)

/* As many as mm/page_alloc.c reckons for min_free_kbytes, the reserves. */
static unsigned int memx_rdma_reserve_blocks(void)
{
	unsigned long kib = int_sqrt(totalram_pages() << (PAGE_SHIFT - 10 + 4));

	kib = min(kib, MEMX_RDMA_RESERVE_MAX_KIB);
	return kib >> (MEMX_RDMA_RESERVE_ORDER + PAGE_SHIFT - 10);
}

/* In the same workqueue as the session's work, so never beside that. */
static void memx_rdma_reserve_fill(struct work_struct *work)
{
	struct memx_rdma *rdma = container_of(to_delayed_work(work),
					      struct memx_rdma, reserve_fill);

	while (rdma->nr_reserve < memx_rdma_reserve_blocks()) {
		struct page *block = alloc_pages(MEMX_RDMA_RESERVE_GFP,
						 MEMX_RDMA_RESERVE_ORDER);

		if (!block) {
			queue_delayed_work(rdma->dev->workqueue,
					   &rdma->reserve_fill,
					   MEMX_RDMA_RESERVE_RETRY);
			return;
		}
		list_add(&block->lru, &rdma->reserve);
		rdma->nr_reserve++;
	}
}

/**
 * memx_rdma_reserve_init - nothing is kept yet
 * @rdma: the connection to be
 */
void memx_rdma_reserve_init(struct memx_rdma *rdma)
{
	INIT_LIST_HEAD(&rdma->reserve);
	INIT_DELAYED_WORK(&rdma->reserve_fill, memx_rdma_reserve_fill);
}

/**
 * memx_rdma_reserve_keep - keep pages, as soon as there are some to spare
 * @rdma: the connection, open
 */
void memx_rdma_reserve_keep(struct memx_rdma *rdma)
{
	queue_delayed_work(rdma->dev->workqueue, &rdma->reserve_fill, 0);
}

/**
 * memx_rdma_reserve_free - free what is kept, and keep no more
 * @rdma: the connection
 *
 * Waits for no memory.
 */
void memx_rdma_reserve_free(struct memx_rdma *rdma)
{
	struct page *block, *next;

	cancel_delayed_work_sync(&rdma->reserve_fill);
	list_for_each_entry_safe(block, next, &rdma->reserve, lru) {
		list_del(&block->lru);
		__free_pages(block, MEMX_RDMA_RESERVE_ORDER);
	}
	rdma->nr_reserve = 0;
}
