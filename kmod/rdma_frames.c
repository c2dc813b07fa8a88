// SPDX-License-Identifier: GPL-2.0
/*
 * Frames over RDMA, out and in.
 *
 * Out: a frame is headers, or headers and at its end one page, which is
 * gathered from where it lies. Frames come from a fixed number of them, and go
 * back when their send has completed: that may be after the answer, so a
 * frame holds references to the pages that it sends. A message that finds
 * no frame free is sent when one is (memx_requests_hurry()).
 *
 * In: receive buffers go back to the device as soon as their messages have been
 * taken. They are socket buffers, as messages know how to read these.
 *
 * Completions are taken in softirq context, which runs while memory is short.
 */
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/xxhash.h>

#include "rdma.h"

/* Copies of pages that may be on their way when there is no memory for more. */
#define MEMX_RDMA_POOL_PAGES 8

static void memx_rdma_sent(struct ib_cq *cq, struct ib_wc *wc);
static void memx_rdma_received(struct ib_cq *cq, struct ib_wc *wc);

/**
 * memx_rdma_send_take - a free send
 * @rdma: the connection
 * @epoch: the session that it is for
 *
 * Return: the send, or NULL.
 */
struct memx_rdma_send *memx_rdma_send_take(struct memx_rdma *rdma, u32 epoch)
{
	struct memx_rdma_send *send = NULL;

	spin_lock_bh(&rdma->send_lock);
	if (rdma->used < rdma->limit) {
		send = list_first_entry(&rdma->free, struct memx_rdma_send,
					list);
		list_del(&send->list);
		rdma->used++;
	} else {
		rdma->is_starved = true;
	}
	spin_unlock_bh(&rdma->send_lock);
	if (!send) {
		memx_count(rdma->dev, MEMX_TX_NOMEM);
		return NULL;
	}
	send->epoch = epoch;
	send->bytes = 0;
	send->pieces = 0;
	send->is_bounced = false;
	send->count = 0;
	send->wr.wr.opcode = IB_WR_SEND;
	return send;
}

/**
 * memx_rdma_send_give - a send is free again
 * @send: the send; not mapped for the device, or not any more
 */
void memx_rdma_send_give(struct memx_rdma_send *send)
{
	struct memx_rdma *rdma = send->rdma;
	bool was_starved;
	unsigned int i;

	if (send->is_bounced)
		mempool_free(send->piece[0].bv_page, rdma->pool);
	else
		for (i = 0; i < send->pieces; i++)
			put_page(send->piece[i].bv_page);
	spin_lock_bh(&rdma->send_lock);
	list_add(&send->list, &rdma->free);
	rdma->used--;
	was_starved = rdma->is_starved;
	rdma->is_starved = false;
	spin_unlock_bh(&rdma->send_lock);
	if (was_starved)
		memx_requests_hurry(rdma->dev);
}

static void memx_rdma_send_header(struct memx_rdma_send *send,
				  const struct rmap_hdr *hdr, u64 payload_sum)
{
	struct rmap_hdr summed = *hdr;

	summed.checksum = cpu_to_le64(memx_header_sum(hdr, payload_sum));
	memcpy(send->linear + send->bytes, &summed, RMAP_HDR_BYTES);
	send->bytes += RMAP_HDR_BYTES;
	if (hdr->tag != cpu_to_le16(RMAP_NO_TAG))
		send->tags[send->count++] = le16_to_cpu(hdr->tag);
}

/**
 * memx_rdma_send_refer - send a request's page as it lies
 * @send: the send
 * @rq: the request
 * @most: how many pieces the device takes
 *
 * Return: false if it lies in more of them, or in the slab allocator's memory.
 */
bool memx_rdma_send_refer(struct memx_rdma_send *send, struct request *rq,
			  unsigned int most)
{
	struct req_iterator iter;
	struct bio_vec segment;
	unsigned int i, n = 0;

	rq_for_each_segment(segment, rq, iter) {
		/* The slab allocator's pages take no references. */
		if (n == most || !sendpage_ok(segment.bv_page))
			goto out;
		get_page(segment.bv_page);
		send->piece[n++] = segment;
	}
	send->pieces = n;
	return true;
out:
	for (i = 0; i < n; i++)
		put_page(send->piece[i].bv_page);
	return false;
}

static bool memx_rdma_send_copy(struct memx_rdma_send *send,
				struct request *rq)
{
	struct page *page = mempool_alloc(send->rdma->pool,
					  GFP_NOWAIT | __GFP_NOWARN);
	struct req_iterator iter;
	struct bio_vec segment;
	char *to;

	if (!page)
		return false;
	to = page_address(page);
	rq_for_each_segment(segment, rq, iter) {
		memcpy_from_bvec(to, &segment);
		to += segment.bv_len;
	}
	send->piece[0] = (struct bio_vec) {
		.bv_page = page,
		.bv_len = RMAP_PAGE_BYTES,
	};
	send->pieces = 1;
	send->is_bounced = true;
	return true;
}

/**
 * memx_rdma_add - memx_burst_add()
 * @dev: the device
 * @session: its session
 * @burst: frames being filled, protected by the caller
 * @hdr: the header; its checksum is filled in here
 * @rq: the request whose page is the payload, or NULL when there is none
 * @offset: 0: a page travels whole
 *
 * Return: false when there is no frame for it.
 */
bool memx_rdma_add(struct memx_device *dev, struct memx_session *session,
		   struct memx_burst *burst, const struct rmap_hdr *hdr,
		   struct request *rq, unsigned int offset)
{
	unsigned int length = le16_to_cpu(hdr->length);
	unsigned int bytes = RMAP_HDR_BYTES + length;
	struct memx_rdma_send *send = NULL;
	u64 sum = 0;

	if (burst->open)
		send = list_entry(burst->open, struct memx_rdma_send, list);
	if (send && (burst->room < bytes || send->epoch != session->epoch ||
		     send->count == MEMX_RDMA_TAGS ||
		     send->bytes + RMAP_HDR_BYTES > MEMX_RDMA_LINEAR_BYTES)) {
		burst->open = NULL;
		send = NULL;
	}
	if (!send) {
		send = memx_rdma_send_take(memx_rdma_of(dev), session->epoch);
		if (!send)
			return false;
		list_add_tail(&send->list, &burst->frames);
		burst->open = &send->list;
		burst->room = session->mtu;
	}
	if (length) {
		/* Nothing goes behind a page. */
		burst->open = NULL;
		if (!memx_rdma_send_refer(send, rq,
					  send->rdma->max_pieces) &&
		    !memx_rdma_send_copy(send, rq)) {
			memx_count(dev, MEMX_TX_NOMEM);
			if (!send->bytes) {
				list_del(&send->list);
				memx_rdma_send_give(send);
			}
			return false;
		}
		sum = memx_payload_sum(rq, 0, length);
	}
	memx_rdma_send_header(send, hdr, sum);
	burst->room -= bytes;
	return true;
}

static void memx_rdma_unmap(struct ib_device *device,
			    struct memx_rdma_send *send, unsigned int mapped)
{
	bool reads = send->wr.wr.opcode == IB_WR_RDMA_READ;

	while (mapped--) {
		const struct ib_sge *sge = &send->sge[mapped];

		if (!mapped && send->bytes)
			ib_dma_unmap_single(device, sge->addr, sge->length,
					    DMA_TO_DEVICE);
		else
			ib_dma_unmap_page(device, sge->addr, sge->length,
					  reads ? DMA_FROM_DEVICE :
						  DMA_TO_DEVICE);
	}
}

/* Tell the device where the frame lies. */
static bool memx_rdma_map(struct memx_rdma *rdma, struct memx_rdma_send *send)
{
	bool reads = send->wr.wr.opcode == IB_WR_RDMA_READ;
	struct ib_device *device = rdma->pd->device;
	struct ib_sge *sge = send->sge;
	unsigned int i;

	if (send->bytes) {
		sge->addr = ib_dma_map_single(device, send->linear, send->bytes,
					      DMA_TO_DEVICE);
		sge->length = send->bytes;
		if (ib_dma_mapping_error(device, sge->addr))
			return false;
		sge++;
	}
	for (i = 0; i < send->pieces; i++, sge++) {
		const struct bio_vec *piece = &send->piece[i];

		sge->addr = ib_dma_map_page(device, piece->bv_page,
					    piece->bv_offset, piece->bv_len,
					    reads ? DMA_FROM_DEVICE :
						    DMA_TO_DEVICE);
		sge->length = piece->bv_len;
		if (ib_dma_mapping_error(device, sge->addr)) {
			memx_rdma_unmap(device, send, sge - send->sge);
			return false;
		}
	}
	send->wr.wr.wr_cqe = &send->cqe;
	send->wr.wr.sg_list = send->sge;
	send->wr.wr.num_sge = sge - send->sge;
	send->wr.wr.send_flags = IB_SEND_SIGNALED;
	send->wr.wr.next = NULL;
	for (i = 0; i < send->wr.wr.num_sge; i++)
		send->sge[i].lkey = rdma->pd->local_dma_lkey;
	return true;
}

/* It will not be sent, or has been. */
static void memx_rdma_send_end(struct memx_rdma_send *send, bool done)
{
	if (send->wr.wr.opcode != IB_WR_SEND)
		memx_request_moved(send->rdma->dev, send->tags[0], send->epoch,
				   done);
	memx_rdma_send_give(send);
}

/**
 * memx_rdma_send_completed - the device has no more to do with a send
 * @send: the send
 * @done: it has done what it was to do
 */
void memx_rdma_send_completed(struct memx_rdma_send *send, bool done)
{
	memx_rdma_unmap(send->rdma->pd->device, send, send->wr.wr.num_sge);
	memx_rdma_send_end(send, done);
}

static bool memx_rdma_is_registered(const struct memx_rdma_send *send)
{
	return send->rdma->registers &&
	       send->wr.wr.opcode == IB_WR_RDMA_READ;
}

/* The work requests of a frame; NULL when it cannot be sent. */
static struct ib_send_wr *memx_rdma_prepare(struct memx_rdma *rdma,
					    struct memx_rdma_send *send)
{
	struct ib_send_wr *first = &send->wr.wr;

	if (!memx_rdma_map(rdma, send))
		return NULL;
	if (memx_rdma_is_registered(send))
		first = memx_rdma_register(send);
	if (!first)
		memx_rdma_unmap(rdma->pd->device, send, send->wr.wr.num_sge);
	return first;
}

/* Post frames; those that cannot be are given back, and the connection ends. */
static void memx_rdma_post(struct memx_rdma *rdma, struct list_head *frames)
{
	struct ib_send_wr *first = NULL, **last = &first;
	const struct ib_send_wr *bad = NULL;
	struct memx_rdma_send *send, *next;

	list_for_each_entry_safe(send, next, frames, list) {
		list_del(&send->list);
		*last = memx_rdma_prepare(rdma, send);
		if (!*last) {
			memx_rdma_break(rdma, "a frame cannot be mapped");
			memx_rdma_send_end(send, false);
			continue;
		}
		if (send->wr.wr.opcode == IB_WR_SEND) {
			memx_count(rdma->dev, MEMX_TX_FRAMES);
			WRITE_ONCE(rdma->dev->last_said_ns, ktime_get_ns());
		}
		memx_requests_sent(rdma->dev, send->tags, send->count);
		last = &send->wr.wr.next;
	}
	if (!first || !ib_post_send(rdma->id->qp, first, &bad))
		return;
	memx_rdma_break(rdma, "a frame cannot be sent");
	while (bad) {
		const struct ib_send_wr *wr = bad;

		bad = bad->next;
		/* The read that it is for follows. */
		if (wr->opcode == IB_WR_REG_MR)
			continue;
		send = container_of(wr, struct memx_rdma_send, wr.wr);
		memx_rdma_send_completed(send, false);
	}
}

/**
 * memx_rdma_drop - throw a burst away
 * @dev: the device
 * @burst: the frames
 */
void memx_rdma_drop(struct memx_device *dev, struct memx_burst *burst)
{
	struct memx_rdma_send *send, *next;

	list_for_each_entry_safe(send, next, &burst->frames, list) {
		list_del(&send->list);
		memx_rdma_send_end(send, false);
	}
}

/**
 * memx_rdma_send - memx_burst_send()
 * @dev: the device
 * @burst: the frames; empty afterwards
 *
 * The connection stays while we look at its session: it goes a grace period
 * after that has ended.
 */
void memx_rdma_send(struct memx_device *dev, struct memx_burst *burst)
{
	struct memx_rdma_send *send, *next;
	struct memx_session *session;
	struct list_head stale;

	INIT_LIST_HEAD(&stale);
	rcu_read_lock();
	session = rcu_dereference(dev->session);
	list_for_each_entry_safe(send, next, &burst->frames, list)
		if (!session || send->epoch != session->epoch)
			list_move(&send->list, &stale);
	if (session)
		memx_rdma_post(memx_rdma_of(dev), &burst->frames);
	list_splice_init(&stale, &burst->frames);
	rcu_read_unlock();
	memx_rdma_drop(dev, burst);
}

/* One message that carries no page, in a frame of its own. */
static int memx_rdma_send_message(struct memx_device *dev, u32 epoch,
				  const struct rmap_hdr *hdr,
				  const void *payload)
{
	unsigned int length = le16_to_cpu(hdr->length);
	struct memx_rdma *rdma = memx_rdma_of(dev);
	struct memx_rdma_send *send = memx_rdma_send_take(rdma, epoch);
	struct list_head frames;

	if (!send)
		return -ENOMEM;
	memx_rdma_send_header(send, hdr, length ? xxh64(payload, length, 0) : 0);
	/* Its tag is not one of the disk's. */
	send->count = 0;
	memcpy(send->linear + send->bytes, payload, length);
	send->bytes += length;
	INIT_LIST_HEAD(&frames);
	list_add(&send->list, &frames);
	memx_rdma_post(rdma, &frames);
	return 0;
}

/**
 * memx_rdma_send_attach - send ATTACH
 * @dev: the device, connected
 * @hdr: the header; its checksum is filled in here
 * @attach: the payload
 * @mtu: needs no trying: both ends have said what they take
 *
 * Return: 0 or -ENOMEM.
 */
int memx_rdma_send_attach(struct memx_device *dev, const struct rmap_hdr *hdr,
			  const struct rmap_attach *attach, unsigned int mtu)
{
	return memx_rdma_send_message(dev, 0, hdr, attach);
}

/**
 * memx_rdma_send_alone - memx_send_in_session()
 * @dev: the device
 * @epoch: the session it is for
 * @hdr: the header; its session and its checksum are filled in here
 * @payload: what follows the header
 *
 * Return: false when that session is over.
 */
bool memx_rdma_send_alone(struct memx_device *dev, u32 epoch,
			  struct rmap_hdr *hdr, const void *payload)
{
	struct memx_session *session;
	bool is_open;

	rcu_read_lock();
	session = rcu_dereference(dev->session);
	is_open = session && session->epoch == epoch;
	if (is_open) {
		hdr->session = cpu_to_le32(session->id);
		memx_rdma_send_message(dev, epoch, hdr, payload);
	}
	rcu_read_unlock();
	return is_open;
}

/**
 * memx_rdma_check - end a connection of which something has failed
 * @rdma: the connection
 * @wc: what has completed; IB_WC_WR_FLUSH_ERR if it was under way when the
 *	connection ended
 */
void memx_rdma_check(struct memx_rdma *rdma, const struct ib_wc *wc)
{
	if (wc->status != IB_WC_SUCCESS)
		memx_rdma_break(rdma, ib_wc_status_msg(wc->status));
}

static void memx_rdma_sent(struct ib_cq *cq, struct ib_wc *wc)
{
	struct memx_rdma_send *send = container_of(wc->wr_cqe,
						   struct memx_rdma_send, cqe);
	bool done = wc->status == IB_WC_SUCCESS;

	memx_rdma_check(send->rdma, wc);
	if (done && memx_rdma_is_registered(send))
		memx_rdma_invalidate(send);
	else
		memx_rdma_send_completed(send, done);
}

/* A connection's messages are its device's. */
static struct memx_device *memx_rdma_find(void *priv,
					  const struct rmap_hdr *hdr,
					  const u8 *from,
					  struct memx_session **session)
{
	struct memx_device *dev = priv;
	struct memx_session *open = rcu_dereference(dev->session);

	*session = NULL;
	if (open && hdr->session && open->id == le32_to_cpu(hdr->session)) {
		*session = open;
		return dev;
	}
	/* It is not published yet, or no more. */
	return hdr->tag == cpu_to_le16(RMAP_NO_TAG) ? dev : NULL;
}

/**
 * memx_rdma_deliver - take a frame
 * @rdma: the connection that it has come over
 * @skb: the frame
 */
void memx_rdma_deliver(struct memx_rdma *rdma, struct sk_buff *skb)
{
	rcu_read_lock();
	memx_frame_receive(rdma->dev, skb, NULL, memx_rdma_find, rdma->dev);
	rcu_read_unlock();
}

static int memx_rdma_receive_post(struct memx_rdma_receive *receive)
{
	const struct ib_recv_wr wr = {
		.wr_cqe = &receive->cqe,
		.sg_list = &receive->sge,
		.num_sge = 1,
	};

	return ib_post_recv(receive->rdma->id->qp, &wr, NULL);
}

static void memx_rdma_receive_take(struct memx_rdma_receive *receive,
				   unsigned int bytes)
{
	struct ib_device *device = receive->rdma->pd->device;
	struct sk_buff *skb = receive->skb;

	ib_dma_sync_single_for_cpu(device, receive->sge.addr,
				   receive->sge.length, DMA_FROM_DEVICE);
	skb_trim(skb, 0);
	skb_put(skb, bytes);
	memx_rdma_deliver(receive->rdma, skb);
	ib_dma_sync_single_for_device(device, receive->sge.addr,
				      receive->sge.length, DMA_FROM_DEVICE);
}

static void memx_rdma_received(struct ib_cq *cq, struct ib_wc *wc)
{
	struct memx_rdma_receive *receive =
		container_of(wc->wr_cqe, struct memx_rdma_receive, cqe);
	struct memx_rdma *rdma = receive->rdma;

	memx_rdma_check(rdma, wc);
	if (wc->status != IB_WC_SUCCESS)
		return;
	if (wc->opcode == IB_WC_RECV_RDMA_WITH_IMM)
		memx_rdma_push_written(rdma, wc);
	else
		memx_rdma_receive_take(receive, wc->byte_len);
	if (memx_rdma_receive_post(receive))
		memx_rdma_break(rdma, "a buffer cannot be given back");
}

/**
 * memx_rdma_receives_post - give all receive buffers to the device
 * @rdma: the connection, with its queue pair
 *
 * Return: 0 or why not.
 */
int memx_rdma_receives_post(struct memx_rdma *rdma)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < rdma->nr_receives; i++) {
		struct memx_rdma_receive *receive = &rdma->receives[i];
		u64 address;

		address = ib_dma_map_single(rdma->pd->device,
					    receive->skb->data,
					    MEMX_RDMA_FRAME_BYTES,
					    DMA_FROM_DEVICE);
		if (ib_dma_mapping_error(rdma->pd->device, address))
			return -ENOMEM;
		receive->sge.addr = address;
		receive->sge.length = MEMX_RDMA_FRAME_BYTES;
		receive->sge.lkey = rdma->pd->local_dma_lkey;
		ret = memx_rdma_receive_post(receive);
	}
	return ret;
}

/**
 * memx_rdma_receives_unmap - the end of memx_rdma_receives_post()
 * @rdma: the connection, its queue pair drained
 */
void memx_rdma_receives_unmap(struct memx_rdma *rdma)
{
	unsigned int i;

	for (i = 0; i < rdma->nr_receives; i++) {
		struct ib_sge *sge = &rdma->receives[i].sge;

		if (sge->length)
			ib_dma_unmap_single(rdma->pd->device, sge->addr,
					    sge->length, DMA_FROM_DEVICE);
		sge->length = 0;
	}
}

static int memx_rdma_sends_create(struct memx_rdma *rdma)
{
	unsigned int i;

	rdma->sends = kvcalloc(rdma->nr_sends, sizeof(*rdma->sends),
			       GFP_KERNEL);
	if (!rdma->sends)
		return -ENOMEM;
	for (i = 0; i < rdma->nr_sends; i++) {
		struct memx_rdma_send *send = &rdma->sends[i];

		send->linear = kmalloc(MEMX_RDMA_LINEAR_BYTES, GFP_KERNEL);
		if (!send->linear)
			return -ENOMEM;
		send->rdma = rdma;
		send->cqe.done = memx_rdma_sent;
		list_add(&send->list, &rdma->free);
	}
	return 0;
}

static int memx_rdma_receives_create(struct memx_rdma *rdma)
{
	unsigned int i;

	rdma->receives = kvcalloc(rdma->nr_receives, sizeof(*rdma->receives),
				  GFP_KERNEL);
	if (!rdma->receives)
		return -ENOMEM;
	for (i = 0; i < rdma->nr_receives; i++) {
		struct memx_rdma_receive *receive = &rdma->receives[i];

		receive->skb = alloc_skb(MEMX_RDMA_FRAME_BYTES, GFP_KERNEL);
		if (!receive->skb)
			return -ENOMEM;
		receive->rdma = rdma;
		receive->cqe.done = memx_rdma_received;
	}
	return 0;
}

/**
 * memx_rdma_frames_create - make all buffers
 * @rdma: the connection to be
 *
 * A request's frame may still be on its way when its tag is used again, so
 * there are two sends for each. A request has one answer, so there is a
 * receive for each, and one for each push that may be under way.
 *
 * Return: 0 or -ENOMEM; then memx_rdma_frames_destroy() all the same.
 */
int memx_rdma_frames_create(struct memx_rdma *rdma)
{
	unsigned int depth = rdma->dev->queue_depth;

	spin_lock_init(&rdma->send_lock);
	INIT_LIST_HEAD(&rdma->free);
	INIT_LIST_HEAD(&rdma->valid);
	rdma->nr_sends = 2 * depth + MEMX_RDMA_SPARE_FRAMES;
	rdma->nr_receives = depth + MEMX_RDMA_SPARE_FRAMES +
			    (rdma->dev->params.pseudo ? RMAP_PUSH_WINDOW : 0);
	rdma->pool = mempool_create_page_pool(MEMX_RDMA_POOL_PAGES, 0);
	if (!rdma->pool || memx_rdma_sends_create(rdma) ||
	    memx_rdma_receives_create(rdma) ||
	    (rdma->dev->params.pseudo && memx_rdma_push_create(rdma)))
		return -ENOMEM;
	return 0;
}

/**
 * memx_rdma_frames_destroy - free all buffers
 * @rdma: the connection, which has ended
 */
void memx_rdma_frames_destroy(struct memx_rdma *rdma)
{
	unsigned int i;

	for (i = 0; rdma->sends && i < rdma->nr_sends; i++)
		kfree(rdma->sends[i].linear);
	for (i = 0; rdma->receives && i < rdma->nr_receives; i++)
		kfree_skb(rdma->receives[i].skb);
	kvfree(rdma->sends);
	kvfree(rdma->receives);
	memx_rdma_push_destroy(rdma);
	mempool_destroy(rdma->pool);
}
