// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers that the server writes pushes to.
 *
 * A push comes as an RDMA write with immediate: the message as it would be
 * sent, header and page, in one of RMAP_PUSH_WINDOW buffers, and its number as
 * the immediate. Push n lies in buffer n % RMAP_PUSH_WINDOW; the server uses
 * that again once push n has been acknowledged. One write may bring several, as
 * a frame does. The immediate takes a receive, which holds nothing.
 *
 * These buffers are the only memory here that another machine can reach: under
 * a key that is new with each connection, for writing, by the server at its
 * other end. It is made when a post-copy begins, told in BEGIN, and gone once
 * the connection has ended. Without them (a device that cannot register memory
 * fast, or no memory for that) pushes come as messages.
 */
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/scatterlist.h>
#include <linux/skbuff.h>
#include <linux/slab.h>

#include "rdma.h"

#define MEMX_RDMA_PUSH_BYTES (RMAP_PUSH_WINDOW * RMAP_PUSH_BUFFER_BYTES)
#define MEMX_RDMA_PUSH_PAGES DIV_ROUND_UP(MEMX_RDMA_PUSH_BYTES, PAGE_SIZE)

/**
 * struct memx_rdma_push - a device's buffers for pushes
 * @region: registers them, NULL while there is no connection that can
 * @mapped: how many pages the device of the connection knows
 * @register_wr: makes the key
 * @register_cqe: of its completion, if that fails
 * @is_registered: it has been posted
 * @skb: shows messages what is in a buffer
 * @pages: the buffers, one behind the other
 * @sg: the same, with the addresses that the connection's device knows
 */
struct memx_rdma_push {
	struct ib_mr *region;
	unsigned int mapped;
	struct ib_reg_wr register_wr;
	struct ib_cqe register_cqe;
	bool is_registered;
	struct sk_buff *skb;
	struct page *pages[MEMX_RDMA_PUSH_PAGES];
	struct scatterlist sg[MEMX_RDMA_PUSH_PAGES];
};

/**
 * memx_rdma_push_create - make the buffers
 * @rdma: the connection to be
 *
 * Return: 0 or -ENOMEM; then memx_rdma_push_destroy() all the same.
 */
int memx_rdma_push_create(struct memx_rdma *rdma)
{
	struct memx_rdma_push *push = kvzalloc(sizeof(*push), GFP_KERNEL);
	unsigned int i;

	rdma->push = push;
	if (!push)
		return -ENOMEM;
	push->skb = alloc_skb(0, GFP_KERNEL);
	if (!push->skb)
		return -ENOMEM;
	for (i = 0; i < MEMX_RDMA_PUSH_PAGES; i++) {
		push->pages[i] = alloc_page(GFP_KERNEL);
		if (!push->pages[i])
			return -ENOMEM;
	}
	return 0;
}

/**
 * memx_rdma_push_destroy - free the buffers, if there are any
 * @rdma: the connection, which has ended
 */
void memx_rdma_push_destroy(struct memx_rdma *rdma)
{
	struct memx_rdma_push *push = rdma->push;
	unsigned int i;

	if (!push)
		return;
	kfree_skb(push->skb);
	for (i = 0; i < MEMX_RDMA_PUSH_PAGES; i++)
		if (push->pages[i])
			__free_page(push->pages[i]);
	kvfree(push);
	rdma->push = NULL;
}

static void memx_rdma_push_registered(struct ib_cq *cq, struct ib_wc *wc)
{
	/* Only when it has failed. */
	memx_rdma_check(cq->cq_context, wc);
}

static bool memx_rdma_push_map(struct memx_rdma_push *push,
			       struct ib_device *device)
{
	sg_init_table(push->sg, MEMX_RDMA_PUSH_PAGES);
	for (; push->mapped < MEMX_RDMA_PUSH_PAGES; push->mapped++) {
		struct scatterlist *sg = &push->sg[push->mapped];
		u64 address = ib_dma_map_page(device, push->pages[push->mapped],
					      0, PAGE_SIZE, DMA_FROM_DEVICE);

		if (ib_dma_mapping_error(device, address))
			return false;
		sg_dma_address(sg) = address;
		sg_dma_len(sg) = PAGE_SIZE;
	}
	return true;
}

/**
 * memx_rdma_push_open - have the buffers ready for a new connection
 * @rdma: the connection, with its protection domain
 *
 * Whatever cannot be had, pushes do without.
 */
void memx_rdma_push_open(struct memx_rdma *rdma)
{
	const struct ib_device_attr *can = &rdma->id->device->attrs;
	struct memx_rdma_push *push = rdma->push;
	struct ib_mr *region;

	if (!push ||
	    !(can->device_cap_flags & IB_DEVICE_MEM_MGT_EXTENSIONS) ||
	    can->max_fast_reg_page_list_len < MEMX_RDMA_PUSH_PAGES)
		return;
	region = ib_alloc_mr(rdma->pd, IB_MR_TYPE_MEM_REG,
			     MEMX_RDMA_PUSH_PAGES);
	if (IS_ERR(region))
		return;
	push->region = region;
	push->register_cqe.done = memx_rdma_push_registered;
	if (memx_rdma_push_map(push, rdma->pd->device) &&
	    ib_map_mr_sg(region, push->sg, MEMX_RDMA_PUSH_PAGES, NULL,
			 PAGE_SIZE) == MEMX_RDMA_PUSH_PAGES)
		return;
	memx_rdma_push_close(rdma);
}

/**
 * memx_rdma_push_close - the end of memx_rdma_push_open()
 * @rdma: the connection, its queue pair drained
 */
void memx_rdma_push_close(struct memx_rdma *rdma)
{
	struct memx_rdma_push *push = rdma->push;

	if (!push || !push->region)
		return;
	ib_dereg_mr(push->region);
	push->region = NULL;
	push->is_registered = false;
	while (push->mapped)
		ib_dma_unmap_page(rdma->pd->device,
				  sg_dma_address(&push->sg[--push->mapped]),
				  PAGE_SIZE, DMA_FROM_DEVICE);
}

/* Once a connection: under a key of its own. */
static bool memx_rdma_push_register(struct memx_rdma *rdma)
{
	struct memx_rdma_push *push = rdma->push;
	struct ib_mr *region = push->region;

	if (push->is_registered)
		return true;
	ib_update_fast_reg_key(region, ib_inc_rkey(region->rkey));
	/* Where our memory lies is no business of the server's. */
	region->iova = PAGE_SIZE;
	push->register_wr = (struct ib_reg_wr) {
		.wr.opcode = IB_WR_REG_MR,
		.wr.wr_cqe = &push->register_cqe,
		.mr = region,
		.key = region->rkey,
		.access = IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE,
	};
	if (ib_post_send(rdma->id->qp, &push->register_wr.wr, NULL)) {
		memx_rdma_break(rdma, "buffers for pushes cannot be registered");
		return false;
	}
	push->is_registered = true;
	return true;
}

/**
 * memx_rdma_push_offer - let the server write pushes, from BEGIN on
 * @dev: the device
 * @epoch: the session that BEGIN is for
 * @begin: where the buffers and their key are filled in, if there are any
 *
 * The registration goes in front of BEGIN in the same queue.
 */
void memx_rdma_push_offer(struct memx_device *dev, u32 epoch,
			  struct rmap_begin *begin)
{
	struct memx_rdma *rdma = memx_rdma_of(dev);
	struct memx_rdma_push *push = rdma->push;
	struct memx_session *session;

	rcu_read_lock();
	/* While it lasts its connection does. */
	session = rcu_dereference(dev->session);
	if (session && session->epoch == epoch && push && push->region &&
	    memx_rdma_push_register(rdma)) {
		begin->buffers = cpu_to_le64(push->region->iova);
		begin->key = cpu_to_le32(push->region->rkey);
	}
	rcu_read_unlock();
}

static void memx_rdma_push_sync(struct memx_rdma_push *push,
				struct ib_device *device, unsigned int at,
				unsigned int bytes, bool for_cpu)
{
	while (bytes) {
		unsigned int from = offset_in_page(at);
		unsigned int n = min_t(unsigned int, bytes, PAGE_SIZE - from);
		u64 address = sg_dma_address(&push->sg[at / PAGE_SIZE]) + from;

		if (for_cpu)
			ib_dma_sync_single_for_cpu(device, address, n,
						   DMA_FROM_DEVICE);
		else
			ib_dma_sync_single_for_device(device, address, n,
						      DMA_FROM_DEVICE);
		at += n;
		bytes -= n;
	}
}

/* Have the socket buffer show a part of the buffers; it holds no references. */
static void memx_rdma_push_show(struct memx_rdma_push *push, unsigned int at,
				unsigned int bytes)
{
	struct sk_buff *skb = push->skb;
	unsigned int i;

	skb->len = bytes;
	skb->data_len = bytes;
	for (i = 0; bytes; i++) {
		unsigned int from = offset_in_page(at);
		unsigned int n = min_t(unsigned int, bytes, PAGE_SIZE - from);

		skb_fill_page_desc(skb, i, push->pages[at / PAGE_SIZE], from,
				   n);
		at += n;
		bytes -= n;
	}
}

static void memx_rdma_push_hide(struct memx_rdma_push *push)
{
	skb_shinfo(push->skb)->nr_frags = 0;
	push->skb->len = 0;
	push->skb->data_len = 0;
}

/**
 * memx_rdma_push_written - take what the server has written to a buffer
 * @rdma: the connection
 * @wc: the receive that tells of it
 *
 * Softirq context; one at a time, as a completion queue has it.
 */
void memx_rdma_push_written(struct memx_rdma *rdma, const struct ib_wc *wc)
{
	struct memx_rdma_push *push = rdma->push;
	unsigned int at;

	at = be32_to_cpu(wc->ex.imm_data) % RMAP_PUSH_WINDOW *
	     RMAP_PUSH_BUFFER_BYTES;
	if (!push || !push->is_registered || wc->byte_len > rdma->frame_bytes ||
	    wc->byte_len > MEMX_RDMA_PUSH_BYTES - at) {
		memx_rdma_break(rdma, "the server writes where it may not");
		return;
	}
	memx_rdma_push_sync(push, rdma->pd->device, at, wc->byte_len, true);
	memx_rdma_push_show(push, at, wc->byte_len);
	memx_rdma_deliver(rdma, push->skb);
	memx_rdma_push_hide(push);
	memx_rdma_push_sync(push, rdma->pd->device, at, wc->byte_len, false);
}
