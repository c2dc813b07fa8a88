// SPDX-License-Identifier: GPL-2.0
/*
 * Messages that have come in, over whatever transport: what each is, and whose.
 */
#include <linux/export.h>
#include <linux/ktime.h>
#include <linux/xxhash.h>

#include "memx.h"

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
EXPORT_SYMBOL_GPL(memx_header_sum);

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

/*
 * One message, for @dev if that is not NULL; counted for @owner. Return false
 * when the rest of the frame cannot be trusted.
 */
static bool memx_message_receive(struct memx_device *owner,
				 struct memx_device *dev,
				 struct memx_session *session, const u8 *from,
				 const struct rmap_hdr *hdr,
				 struct sk_buff *skb, unsigned int offset)
{
	if (hdr->version != RMAP_VERSION) {
		/* All there is to learn from another version is that it is. */
		if (dev && hdr->opcode == (RMAP_ERROR | RMAP_REPLY) &&
		    hdr->status == RMAP_BAD_VERSION)
			memx_session_answer(dev, from, hdr, skb, offset);
		else
			memx_count(owner, MEMX_BAD_FRAMES);
		return false;
	}
	/* A page is summed after it has been copied, all else before. */
	if (!(session && hdr->length &&
	      (hdr->opcode == (RMAP_READ | RMAP_REPLY) ||
	       (hdr->opcode == RMAP_PUSH && dev->push))) &&
	    !memx_sum_matches(hdr, skb, offset)) {
		memx_count(owner, MEMX_BAD_CHECKSUM);
		return false;
	}
	if (!dev) {
		memx_count(owner, MEMX_LATE_REPLIES);
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
	case RMAP_WINDOW | RMAP_REPLY:
		if (!session || !dev->transport->window)
			break;
		dev->transport->window(dev, session, hdr, skb, offset);
		return true;
	case RMAP_ATTACH | RMAP_REPLY:
	case RMAP_KEEPALIVE | RMAP_REPLY:
	case RMAP_STATUS | RMAP_REPLY:
	case RMAP_DETACH | RMAP_REPLY:
	case RMAP_ERROR | RMAP_REPLY:
		memx_session_answer(dev, from, hdr, skb, offset);
		return true;
	}
	memx_count(dev, MEMX_BAD_FRAMES);
	return true;
}

/**
 * memx_frame_receive - take the messages of a frame
 * @owner: a device to count the frame for, if it has no message for any
 * @skb: the frame, from its first message on; it is only read
 * @from: the Ethernet address that it comes from; NULL over a connection, which
 *	leads to its device's server alone
 * @find: whom a message is for
 * @priv: for @find
 *
 * It is counted for the device of the last message that has one.
 *
 * Context: softirq, RCU read side.
 */
void memx_frame_receive(struct memx_device *owner, struct sk_buff *skb,
			const u8 *from, memx_find_t *find, void *priv)
{
	unsigned int offset = 0;

	while (offset < skb->len) {
		unsigned int left = skb->len - offset, length;
		struct memx_session *session;
		struct rmap_hdr hdr = {};
		struct memx_device *dev;

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
		dev = find(priv, &hdr, from, &session);
		if (dev)
			owner = dev;
		if (!memx_message_receive(owner, dev, session, from, &hdr, skb,
					  offset))
			break;
		offset += length;
	}
	memx_count(owner, MEMX_RX_FRAMES);
	if (skb_pfmemalloc(skb))
		memx_count(owner, MEMX_RX_PFMEMALLOC);
	memx_requests_overtaken(owner);
}
EXPORT_SYMBOL_GPL(memx_frame_receive);
