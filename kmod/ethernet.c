// SPDX-License-Identifier: GPL-2.0
/*
 * Frames, out and in.
 *
 * Out: messages are put one after the other into a frame until it is full.
 * Memory for a frame may come from the emergency reserves, as to send a page
 * is what frees memory; if there is none even there, the message counts as
 * sent, and the retransmission timer sends it.
 *
 * In: frames are taken at the network device's netfilter ingress hook, not by
 * a packet type handler. When memory is short, the buffer of a received frame
 * comes from the reserves too, and the frame is marked pfmemalloc. Such a
 * frame may free memory or may just eat it, so __netif_receive_skb_core()
 * drops it right before the packet type handlers unless its protocol is one of
 * five (skb_pfmemalloc_protocol()), and ours is none of them: each answer to a
 * swapped page would be thrown away just when swap is needed most. The ingress
 * hook runs some lines earlier. As netdev hooks are called for the device that
 * the frame came in on, this holds for a real network device; above a VLAN or
 * a bond the check comes first, and retransmission has to do.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/pkt_sched.h>
#include <linux/xxhash.h>

#include "memx.h"

/* READs and other short messages that fit the linear part of a frame. */
#define MEMX_LINEAR_BYTES (16 * RMAP_HDR_BYTES)
/* A page may be in as many pieces; its header takes one more. */
#define MEMX_PAGE_PIECES (RMAP_PAGE_BYTES >> SECTOR_SHIFT)

/* Never waits, may use the reserves, and says nothing when it fails. */
#define MEMX_GFP (GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN)

/* Requests that a frame may hold messages of. */
#define MEMX_FRAME_TAGS 20

/**
 * struct memx_skb_cb - what a frame must know until it is sent
 * @epoch: the session whose messages it holds
 * @count: how many @tags are in use
 * @tags: the requests whose messages it holds
 */
struct memx_skb_cb {
	u32 epoch;
	u16 count;
	u16 tags[MEMX_FRAME_TAGS];
};

static struct memx_skb_cb *memx_skb_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct memx_skb_cb) > sizeof(skb->cb));
	return (struct memx_skb_cb *)skb->cb;
}

/**
 * memx_header_sum - checksum of a message
 * @hdr: the message's header
 * @payload_sum: the XXH64 of its payload, 0 when it has none
 *
 * Return: the XXH64 of the header in front of its checksum.
 */
u64 memx_header_sum(const struct rmap_hdr *hdr, u64 payload_sum)
{
	return xxh64(hdr, RMAP_HDR_SUMMED_BYTES, payload_sum);
}

/**
 * memx_sum_matches - whether a message in a frame has the right checksum
 * @hdr: its header
 * @skb: the frame, long enough for the payload
 * @offset: where the payload begins
 *
 * For messages that do not carry a page; a page is summed where it lies.
 *
 * Return: whether it has.
 */
bool memx_sum_matches(const struct rmap_hdr *hdr, struct sk_buff *skb,
		      unsigned int offset)
{
	unsigned int left = le16_to_cpu(hdr->length);
	struct xxh64_state state;
	u64 payload_sum = 0;
	u8 bytes[128];

	if (left)
		xxh64_reset(&state, 0);
	while (left) {
		unsigned int n = min_t(unsigned int, left, sizeof(bytes));

		if (skb_copy_bits(skb, offset, bytes, n))
			return false;
		xxh64_update(&state, bytes, n);
		offset += n;
		left -= n;
		if (!left)
			payload_sum = xxh64_digest(&state);
	}
	return memx_header_sum(hdr, payload_sum) == le64_to_cpu(hdr->checksum);
}

/**
 * memx_burst_init - no frames yet
 * @burst: the burst
 */
void memx_burst_init(struct memx_burst *burst)
{
	__skb_queue_head_init(&burst->ready);
	burst->skb = NULL;
}

static void memx_burst_close(struct memx_burst *burst)
{
	if (burst->skb)
		__skb_queue_tail(&burst->ready, burst->skb);
	burst->skb = NULL;
}

/* A frame with an Ethernet header and @linear bytes of room. */
static struct sk_buff *memx_frame_alloc(struct net_device *netdev,
					const u8 *server, unsigned int linear)
{
	unsigned int head = LL_RESERVED_SPACE(netdev);
	struct sk_buff *skb;

	skb = alloc_skb(head + linear + netdev->needed_tailroom, MEMX_GFP);
	if (!skb)
		return NULL;
	skb_reserve(skb, head);
	skb->protocol = htons(RMAP_ETHERTYPE);
	skb->priority = TC_PRIO_INTERACTIVE;
	skb_reset_network_header(skb);
	if (dev_hard_header(skb, netdev, RMAP_ETHERTYPE, server,
			    netdev->dev_addr, 0) < 0) {
		kfree_skb(skb);
		return NULL;
	}
	return skb;
}

/* Note whose message goes into a frame; some belong to no request. */
static void memx_frame_add_tag(struct sk_buff *skb, const struct rmap_hdr *hdr)
{
	struct memx_skb_cb *cb = memx_skb_cb(skb);

	if (hdr->tag != cpu_to_le16(RMAP_NO_TAG))
		cb->tags[cb->count++] = le16_to_cpu(hdr->tag);
}

/*
 * Append a header. Behind a page it can only be a fragment of its own, since
 * a frame's linear part comes first.
 */
static bool memx_frame_add_header(struct sk_buff *skb,
				  const struct rmap_hdr *hdr)
{
	struct page *page;
	void *copy;

	if (!skb_is_nonlinear(skb)) {
		if (skb_tailroom(skb) < RMAP_HDR_BYTES)
			return false;
		skb_put_data(skb, hdr, RMAP_HDR_BYTES);
		return true;
	}
	copy = netdev_alloc_frag(ALIGN(RMAP_HDR_BYTES, sizeof(u64)));
	if (!copy)
		return false;
	memcpy(copy, hdr, RMAP_HDR_BYTES);
	page = virt_to_head_page(copy);
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page,
			copy - page_address(page), RMAP_HDR_BYTES,
			RMAP_HDR_BYTES);
	return true;
}

/**
 * memx_burst_add - put a message into a frame
 * @dev: the device
 * @session: its session
 * @burst: frames being filled, protected by the caller
 * @hdr: the header; its checksum is filled in here
 * @rq: the request whose page holds the payload, or NULL when there is none;
 *	it cannot end meanwhile
 * @offset: where in the page the payload begins
 */
void memx_burst_add(struct memx_device *dev, struct memx_session *session,
		    struct memx_burst *burst, const struct rmap_hdr *hdr,
		    struct request *rq, unsigned int offset)
{
	unsigned int length = le16_to_cpu(hdr->length);
	unsigned int bytes = RMAP_HDR_BYTES + length;
	struct rmap_hdr summed = *hdr;
	struct sk_buff *skb;
	u64 sum = length ? memx_payload_sum(rq, offset, length) : 0;

	summed.checksum = cpu_to_le64(memx_header_sum(hdr, sum));

	skb = burst->skb;
	if (skb && (burst->room < bytes ||
		    memx_skb_cb(skb)->epoch != session->epoch ||
		    memx_skb_cb(skb)->count == MEMX_FRAME_TAGS ||
		    skb_shinfo(skb)->nr_frags + 1 + MEMX_PAGE_PIECES >
			    MAX_SKB_FRAGS ||
		    !memx_frame_add_header(skb, &summed))) {
		memx_burst_close(burst);
		skb = NULL;
	}
	if (!skb) {
		skb = memx_frame_alloc(session->netdev, session->server,
				       MEMX_LINEAR_BYTES);
		if (!skb) {
			memx_count(dev, MEMX_TX_NOMEM);
			return;
		}
		memx_skb_cb(skb)->epoch = session->epoch;
		memx_skb_cb(skb)->count = 0;
		burst->skb = skb;
		burst->room = session->mtu;
		memx_frame_add_header(skb, &summed);
	}
	memx_frame_add_tag(skb, hdr);
	burst->room -= bytes;
	if (length && memx_payload_attach(rq, offset, length, skb)) {
		/* What went before is lost with it, and sent again. */
		memx_count(dev, MEMX_TX_NOMEM);
		kfree_skb(skb);
		burst->skb = NULL;
	}
}

/**
 * memx_burst_take - take frames out of another burst
 * @burst: gets them
 * @from: loses them; protected by the caller
 * @all: also the one that is not full
 */
void memx_burst_take(struct memx_burst *burst, struct memx_burst *from,
		     bool all)
{
	if (all)
		memx_burst_close(from);
	skb_queue_splice_tail_init(&from->ready, &burst->ready);
}

/**
 * memx_burst_send - send frames
 * @dev: the device
 * @burst: the frames; empty afterwards
 *
 * Only here does a frame learn its network device, under RCU: a frame may lie
 * in a batch for a while, and must not keep a device that is removed. Frames
 * of a session that has ended must not be sent at all. For the same reason only
 * here does a request learn when it was sent: measured from when its message
 * was made, the round trip would contain the making of its neighbours'.
 *
 * Context: softirqs may be off, hard interrupts not, and no lock is held that
 * queue_rq or the receiving side takes.
 */
void memx_burst_send(struct memx_device *dev, struct memx_burst *burst)
{
	struct memx_session *session;
	struct sk_buff *skb;

	memx_burst_close(burst);
	if (skb_queue_empty(&burst->ready))
		return;
	rcu_read_lock();
	session = rcu_dereference(dev->session);
	while ((skb = __skb_dequeue(&burst->ready))) {
		const struct memx_skb_cb *cb = memx_skb_cb(skb);

		if (!session || cb->epoch != session->epoch) {
			kfree_skb(skb);
			continue;
		}
		memx_requests_sent(dev, cb->tags, cb->count);
		skb->dev = session->netdev;
		memx_count(dev, MEMX_TX_FRAMES);
		/* Dropped, it counts as lost on the way. */
		dev_queue_xmit(skb);
	}
	if (session)
		WRITE_ONCE(dev->last_said_ns, ktime_get_ns());
	rcu_read_unlock();
}

/**
 * memx_burst_drop - throw frames away
 * @burst: the frames
 */
void memx_burst_drop(struct memx_burst *burst)
{
	memx_burst_close(burst);
	__skb_queue_purge(&burst->ready);
}

/* A frame with one message, whose payload is copied: for those that are rare. */
static struct sk_buff *memx_frame_message(struct memx_device *dev,
					  struct net_device *netdev,
					  const u8 *server,
					  const struct rmap_hdr *hdr,
					  const void *payload)
{
	unsigned int length = le16_to_cpu(hdr->length);
	struct rmap_hdr summed = *hdr;
	struct sk_buff *skb;

	skb = memx_frame_alloc(netdev, server, RMAP_HDR_BYTES + length);
	if (!skb) {
		memx_count(dev, MEMX_TX_NOMEM);
		return NULL;
	}
	summed.checksum = cpu_to_le64(
		memx_header_sum(hdr, length ? xxh64(payload, length, 0) : 0));
	skb_put_data(skb, &summed, RMAP_HDR_BYTES);
	if (length)
		skb_put_data(skb, payload, length);
	skb->dev = netdev;
	return skb;
}

/**
 * memx_send_attach - send ATTACH, padded with zeros to the MTU asked for
 * @dev: the device
 * @server: where to, or broadcast
 * @hdr: the header; its checksum is filled in here
 * @attach: the payload
 * @mtu: how long to make the frame
 *
 * The padding is one page of zeros, referred to as often as needed, so that
 * a long frame needs no more memory than a short one.
 *
 * Return: 0; -ENETDOWN without a network device; -ENOMEM.
 */
int memx_send_attach(struct memx_device *dev, const u8 *server,
		     const struct rmap_hdr *hdr,
		     const struct rmap_attach *attach, unsigned int mtu)
{
	unsigned int bytes = RMAP_HDR_BYTES + RMAP_ATTACH_BYTES;
	struct net_device *netdev;
	struct sk_buff *skb;
	int ret = 0;

	rcu_read_lock();
	netdev = rcu_dereference(dev->netdev);
	if (!netdev) {
		ret = -ENETDOWN;
		goto out;
	}
	skb = memx_frame_message(dev, netdev, server, hdr, attach);
	if (!skb) {
		ret = -ENOMEM;
		goto out;
	}
	while (bytes < mtu) {
		unsigned int n = min_t(unsigned int, mtu - bytes, PAGE_SIZE);

		get_page(dev->padding);
		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, dev->padding,
				0, n, n);
		bytes += n;
	}
	memx_count(dev, MEMX_TX_FRAMES);
	dev_queue_xmit(skb);
out:
	rcu_read_unlock();
	return ret;
}

/**
 * memx_send_in_session - send a message that belongs to no request of the disk
 * @dev: the device
 * @epoch: the session it is for
 * @hdr: the header; its session and its checksum are filled in here
 * @payload: what follows the header
 *
 * Without memory for the frame, it is as if it had been lost.
 *
 * Return: false when that session is over.
 */
bool memx_send_in_session(struct memx_device *dev, u32 epoch,
			  struct rmap_hdr *hdr, const void *payload)
{
	struct memx_session *session;
	struct sk_buff *skb;
	bool open;

	rcu_read_lock();
	session = rcu_dereference(dev->session);
	open = session && session->epoch == epoch;
	if (open) {
		hdr->session = cpu_to_le32(session->id);
		skb = memx_frame_message(dev, session->netdev, session->server,
					 hdr, payload);
		if (skb) {
			memx_count(dev, MEMX_TX_FRAMES);
			dev_queue_xmit(skb);
			WRITE_ONCE(dev->last_said_ns, ktime_get_ns());
		}
	}
	rcu_read_unlock();
	return open;
}

/* Whom a message is for, by what only its own server could know. */
static struct memx_device *memx_find(const struct memx_link *link,
				     const struct rmap_hdr *hdr,
				     const u8 *from,
				     struct memx_session **session)
{
	struct memx_device *dev;

	*session = NULL;
	list_for_each_entry_rcu(dev, &link->devices, on_link) {
		struct memx_session *open = rcu_dereference(dev->session);

		if (open && hdr->session &&
		    open->id == le32_to_cpu(hdr->session) &&
		    ether_addr_equal(open->server, from)) {
			*session = open;
			return dev;
		}
		if (hdr->tag == cpu_to_le16(RMAP_NO_TAG) &&
		    READ_ONCE(dev->exchange.opcode) == RMAP_ATTACH &&
		    READ_ONCE(dev->exchange.generation) ==
			    le32_to_cpu(hdr->generation))
			return dev;
	}
	return NULL;
}

/*
 * One message. Return false when the rest of the frame cannot be trusted. The
 * frame is counted for @owner, who gets to be the device of the last message
 * that had one.
 */
static bool memx_receive_message(const struct memx_link *link,
				 struct sk_buff *skb,
				 const struct rmap_hdr *hdr,
				 unsigned int offset,
				 struct memx_device **owner)
{
	const u8 *from = eth_hdr(skb)->h_source;
	struct memx_session *session;
	struct memx_device *dev = memx_find(link, hdr, from, &session);

	if (dev)
		*owner = dev;
	if (hdr->version != RMAP_VERSION) {
		/* All there is to learn from another version is that it is. */
		if (dev && hdr->opcode == (RMAP_ERROR | RMAP_REPLY) &&
		    hdr->status == RMAP_BAD_VERSION)
			memx_session_answer(dev, hdr, skb, offset);
		else
			memx_count(*owner, MEMX_BAD_FRAMES);
		return false;
	}
	/* A page is summed after it has been copied, all else before. */
	if (!(session && hdr->length &&
	      (hdr->opcode == (RMAP_READ | RMAP_REPLY) ||
	       (hdr->opcode == RMAP_PUSH && dev->push))) &&
	    !memx_sum_matches(hdr, skb, offset)) {
		memx_count(*owner, MEMX_BAD_CHECKSUM);
		return false;
	}
	if (!dev) {
		memx_count(*owner, MEMX_LATE_REPLIES);
		return true;
	}
	if (session && dev->push && hdr->opcode & RMAP_REPLY &&
	    le16_to_cpu(hdr->tag) == dev->queue_depth &&
	    hdr->status != RMAP_BAD_SESSION) {
		memx_tell_answer(dev, session, hdr, skb, offset);
		return true;
	}
	switch (hdr->opcode) {
	case RMAP_PUSH:
		if (!session || !dev->push)
			break;
		if (!memx_push_receive(dev, session, hdr, skb, offset))
			return false;
		WRITE_ONCE(dev->last_heard_ns, ktime_get_ns());
		return true;
	case RMAP_READ | RMAP_REPLY:
	case RMAP_WRITE | RMAP_REPLY:
	case RMAP_DISCARD | RMAP_REPLY:
	case RMAP_FLUSH | RMAP_REPLY:
		if (!session)
			break;
		if (!memx_request_reply(dev, session, hdr, skb, offset))
			return false;
		WRITE_ONCE(dev->last_heard_ns, ktime_get_ns());
		memx_session_credits(dev, le16_to_cpu(hdr->credits));
		return true;
	case RMAP_ATTACH | RMAP_REPLY:
	case RMAP_KEEPALIVE | RMAP_REPLY:
	case RMAP_STATUS | RMAP_REPLY:
	case RMAP_DETACH | RMAP_REPLY:
	case RMAP_ERROR | RMAP_REPLY:
		memx_session_answer(dev, hdr, skb, offset);
		return true;
	}
	memx_count(dev, MEMX_BAD_FRAMES);
	return true;
}

static void memx_receive_frame(struct memx_link *link,
			       struct sk_buff *skb)
{
	struct memx_device *owner;
	unsigned int offset = 0;

	owner = list_first_or_null_rcu(&link->devices, struct memx_device,
				       on_link);
	if (!owner)
		return;
	while (offset < skb->len) {
		unsigned int left = skb->len - offset, length;
		struct rmap_hdr hdr = {};

		if (skb_copy_bits(skb, offset, &hdr,
				  min_t(unsigned int, left, RMAP_HDR_BYTES)))
			break;
		if (hdr.opcode == RMAP_PAD)
			break;
		length = le16_to_cpu(hdr.length);
		if (left < RMAP_HDR_BYTES || left - RMAP_HDR_BYTES < length) {
			memx_count(owner, MEMX_BAD_FRAMES);
			break;
		}
		offset += RMAP_HDR_BYTES;
		if (!memx_receive_message(link, skb, &hdr, offset, &owner))
			break;
		offset += length;
	}
	memx_count(owner, MEMX_RX_FRAMES);
	if (skb_pfmemalloc(skb))
		memx_count(owner, MEMX_RX_PFMEMALLOC);
	memx_requests_overtaken(owner);
}

/**
 * memx_receive - the ingress hook of a link
 * @priv: the link
 * @skb: a frame, whatever it is, from behind its Ethernet header on
 * @state: unused
 *
 * Frames whose first message is a client's pass: they are for a server on this
 * machine. So do those for other machines and other VLANs.
 *
 * Context: softirq, RCU read side. The frame may be shared: it is only read.
 *
 * Return: NF_STOLEN for a frame of ours, else NF_ACCEPT.
 */
unsigned int memx_receive(void *priv, struct sk_buff *skb,
			  const struct nf_hook_state *state)
{
	u8 begin[2];

	if (skb->protocol != htons(RMAP_ETHERTYPE) ||
	    skb->pkt_type != PACKET_HOST || skb_vlan_tag_present(skb) ||
	    skb_copy_bits(skb, 0, begin, sizeof(begin)) ||
	    !(begin[1] & RMAP_REPLY || begin[1] == RMAP_PUSH))
		return NF_ACCEPT;
	memx_receive_frame(priv, skb);
	consume_skb(skb);
	return NF_STOLEN;
}
