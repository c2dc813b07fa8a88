// SPDX-License-Identifier: GPL-2.0
/*
 * Pages, moved without the server's processor.
 *
 * Once a session is open, the server is asked for a window on the region's
 * memory. If it gives one, a page is an RDMA read from there straight into the
 * request's page, or an RDMA write straight from it. The window's key serves
 * this connection alone, and ends with the session.
 *
 * The device may touch a request's page until the work request completes, so the
 * request does not end before (memx_cmd.direct): it waits for the answer, or for
 * the connection to be drained, which comes in the time that the device tries to
 * send. Such pages have no checksum of ours; what RDMA has of its own covers the
 * way.
 *
 * The server does not notice any of this: only messages keep a session open.
 */
#include <linux/skbuff.h>

#include "rdma.h"

/**
 * memx_rdma_opened - a session is open: ask for a window, and keep what the
 *	next one may need
 * @dev: the device
 *
 * Waits for the answer, so that neither a new disk's first requests nor those
 * that the last session has left are the server's program's to answer.
 */
void memx_rdma_opened(struct memx_device *dev)
{
	struct rmap_hdr hdr = {
		.version = RMAP_VERSION,
		.opcode = RMAP_WINDOW,
		/* Behind the tag of what a post-copy tells the server. */
		.tag = cpu_to_le16(dev->queue_depth + dev->params.pseudo),
		.generation = cpu_to_le32(1),
	};
	struct memx_rdma *rdma = memx_rdma_of(dev);

	memx_rdma_reserve_keep(rdma);
	if (!memx_rdma_may_read(rdma))
		return;
	memx_rdma_ask(rdma);
	if (memx_rdma_send_alone(dev, dev->epoch, &hdr, NULL))
		memx_rdma_wait(rdma, false);
}

/**
 * memx_rdma_window - the server's answer
 * @dev: the device
 * @session: its session, which the answer names
 * @hdr: the answer; its checksum verified
 * @skb: the frame
 * @offset: where the payload begins
 */
void memx_rdma_window(struct memx_device *dev, struct memx_session *session,
		      const struct rmap_hdr *hdr, struct sk_buff *skb,
		      unsigned int offset)
{
	struct memx_rdma_window *window = &memx_rdma_of(dev)->window;
	struct rmap_window granted;

	/* Without one, messages serve. */
	if (hdr->status != RMAP_OK)
		goto out;
	if (window->epoch == session->epoch ||
	    le16_to_cpu(hdr->length) != RMAP_WINDOW_BYTES ||
	    skb_copy_bits(skb, offset, &granted, sizeof(granted)) ||
	    le64_to_cpu(granted.slots) > RMAP_MAX_SLOTS) {
		memx_count(dev, MEMX_BAD_FRAMES);
		return;
	}
	window->address = le64_to_cpu(granted.address);
	window->slots = le64_to_cpu(granted.slots);
	window->key = le32_to_cpu(granted.key);
	/* Pairs with memx_rdma_move(). */
	smp_store_release(&window->epoch, session->epoch);
out:
	memx_rdma_answer(memx_rdma_of(dev), 0);
}

/**
 * memx_rdma_move - move a page directly
 * @dev: the device
 * @session: its session
 * @burst: gets the operation; protected by the caller
 * @hdr: READ or WRITE, as the message would be
 * @rq: the request, which does not end before memx_request_moved()
 *
 * Return: 0; -EOPNOTSUPP when a message must do it; -EAGAIN when all sends are
 * in use.
 */
int memx_rdma_move(struct memx_device *dev, struct memx_session *session,
		   struct memx_burst *burst, const struct rmap_hdr *hdr,
		   struct request *rq)
{
	struct memx_rdma *rdma = memx_rdma_of(dev);
	const struct memx_rdma_window *window = &rdma->window;
	u64 slot = le64_to_cpu(hdr->slot);
	struct memx_rdma_send *send;

	if (smp_load_acquire(&window->epoch) != session->epoch ||
	    slot >= window->slots)
		return -EOPNOTSUPP;
	send = memx_rdma_send_take(rdma, session->epoch);
	if (!send)
		return -EAGAIN;
	if (!memx_rdma_send_refer(send, rq, rdma->max_reads)) {
		memx_rdma_send_give(send);
		return -EOPNOTSUPP;
	}
	send->wr.wr.opcode = hdr->opcode == RMAP_READ ? IB_WR_RDMA_READ :
							IB_WR_RDMA_WRITE;
	send->wr.remote_addr = window->address + slot * RMAP_PAGE_BYTES;
	send->wr.rkey = window->key;
	send->tags[send->count++] = le16_to_cpu(hdr->tag);
	/* In front of a frame that is still open, if there is one. */
	list_add(&send->list, &burst->frames);
	return 0;
}
