// SPDX-License-Identifier: GPL-2.0
/*
 * Reads on devices that want the page registered.
 *
 * What an iWARP read brings is written by the other end, with a key that it is
 * told. So a page that a read fills is registered for this one read, under a
 * key of its own, and the key is invalidated before the request ends: nobody
 * can write the page afterwards. InfiniBand and RoCE need none of this (rdma.c).
 *
 *	REG_MR, RDMA_READ -- completed --> LOCAL_INV -- completed --> moved
 *
 * Not all three at once: an invalidation would have to wait for the reads
 * before it, and the pages behind it for the invalidation.
 *
 * Each send has a memory region for as long as the connection lasts.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/scatterlist.h>

#include "rdma.h"

/* A page that begins anywhere. */
#define MEMX_RDMA_REGION_PAGES 2

static bool register_always;
module_param(register_always, bool, 0444);
MODULE_PARM_DESC(register_always, "Register the page of each RDMA read where the device does not want it, too");

static bool memx_rdma_wants_registration(const struct memx_rdma *rdma)
{
	return rdma_protocol_iwarp(rdma->id->device, rdma->id->port_num);
}

/**
 * memx_rdma_may_read - whether the device can read at all
 * @rdma: the connection
 *
 * Return: false where it wants pages registered, but cannot do that fast.
 */
bool memx_rdma_may_read(const struct memx_rdma *rdma)
{
	return rdma->registers || !memx_rdma_wants_registration(rdma);
}

/**
 * memx_rdma_choose_registration - whether reads are to be registered
 * @rdma: the connection, which has found its device
 */
void memx_rdma_choose_registration(struct memx_rdma *rdma)
{
	rdma->registers = (register_always ||
			   memx_rdma_wants_registration(rdma)) &&
			  rdma->id->device->attrs.device_cap_flags &
			  IB_DEVICE_MEM_MGT_EXTENSIONS;
}

static void memx_rdma_registered(struct ib_cq *cq, struct ib_wc *wc)
{
	struct memx_rdma_send *send = container_of(wc->wr_cqe,
						   struct memx_rdma_send,
						   register_cqe);

	/* Only of one that has failed. */
	memx_rdma_check(send->rdma, wc);
}

static void memx_rdma_invalidated(struct ib_cq *cq, struct ib_wc *wc)
{
	struct memx_rdma_send *send = container_of(wc->wr_cqe,
						   struct memx_rdma_send,
						   invalidate_cqe);

	memx_rdma_check(send->rdma, wc);
	memx_rdma_send_completed(send, wc->status == IB_WC_SUCCESS);
}

/**
 * memx_rdma_regions_create - a memory region for each send
 * @rdma: the connection, with its protection domain
 *
 * Return: 0 or why not; then memx_rdma_regions_destroy() all the same.
 */
int memx_rdma_regions_create(struct memx_rdma *rdma)
{
	unsigned int i;

	for (i = 0; rdma->registers && i < rdma->nr_sends; i++) {
		struct memx_rdma_send *send = &rdma->sends[i];
		struct ib_mr *region = ib_alloc_mr(rdma->pd, IB_MR_TYPE_MEM_REG,
						   MEMX_RDMA_REGION_PAGES);

		if (IS_ERR(region))
			return PTR_ERR(region);
		send->region = region;
		send->register_cqe.done = memx_rdma_registered;
		send->invalidate_cqe.done = memx_rdma_invalidated;
	}
	return 0;
}

/**
 * memx_rdma_regions_destroy - the end of memx_rdma_regions_create()
 * @rdma: the connection, its queue pair drained
 */
void memx_rdma_regions_destroy(struct memx_rdma *rdma)
{
	unsigned int i;

	for (i = 0; i < rdma->nr_sends; i++) {
		struct memx_rdma_send *send = &rdma->sends[i];

		if (send->region)
			ib_dereg_mr(send->region);
		send->region = NULL;
	}
}

/**
 * memx_rdma_register - register the page that a read fills
 * @send: the read, its page mapped for the device
 *
 * Return: the work request to post, with that of the read behind it; NULL if it
 * cannot be registered.
 */
struct ib_send_wr *memx_rdma_register(struct memx_rdma_send *send)
{
	struct ib_reg_wr *wr = &send->register_wr;
	struct ib_mr *region = send->region;
	struct scatterlist page;

	sg_init_table(&page, 1);
	sg_dma_address(&page) = send->sge[0].addr;
	sg_dma_len(&page) = send->sge[0].length;
	if (ib_map_mr_sg(region, &page, 1, NULL, PAGE_SIZE) != 1)
		return NULL;
	ib_update_fast_reg_key(region, ib_inc_rkey(region->rkey));
	*wr = (struct ib_reg_wr) {
		.wr.opcode = IB_WR_REG_MR,
		.wr.wr_cqe = &send->register_cqe,
		.wr.next = &send->wr.wr,
		.mr = region,
		.key = region->rkey,
		.access = IB_ACCESS_LOCAL_WRITE,
	};
	if (memx_rdma_wants_registration(send->rdma))
		wr->access |= IB_ACCESS_REMOTE_WRITE;
	send->sge[0].lkey = region->lkey;
	return &wr->wr;
}

/**
 * memx_rdma_invalidate - nobody is to write the page of a read any more
 * @send: the read, which has completed; memx_rdma_send_completed() follows
 *
 * Softirq context. Nothing is posted behind what drains the queue pair: that is
 * done a grace period after the connection has broken, and serves as well.
 */
void memx_rdma_invalidate(struct memx_rdma_send *send)
{
	const struct ib_send_wr wr = {
		.opcode = IB_WR_LOCAL_INV,
		.wr_cqe = &send->invalidate_cqe,
		.send_flags = IB_SEND_SIGNALED,
		.ex.invalidate_rkey = send->region->rkey,
	};
	struct memx_rdma *rdma = send->rdma;
	bool is_posted;

	rcu_read_lock();
	is_posted = !READ_ONCE(rdma->is_broken) &&
		    !ib_post_send(rdma->id->qp, &wr, NULL);
	rcu_read_unlock();
	if (is_posted)
		return;
	spin_lock_bh(&rdma->send_lock);
	list_add(&send->list, &rdma->valid);
	spin_unlock_bh(&rdma->send_lock);
	memx_rdma_break(rdma, "a page's key cannot be invalidated");
}

/**
 * memx_rdma_invalidate_rest - what memx_rdma_invalidate() could not do
 * @rdma: the connection, its queue pair drained
 */
void memx_rdma_invalidate_rest(struct memx_rdma *rdma)
{
	struct memx_rdma_send *send, *next;

	list_for_each_entry_safe(send, next, &rdma->valid, list) {
		list_del(&send->list);
		memx_rdma_send_completed(send, false);
	}
}
