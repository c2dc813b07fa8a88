// SPDX-License-Identifier: GPL-2.0
/*
 * What the server is told of a post-copy: HINT, HAVE, BEGIN, END.
 *
 * They have cookies like requests of the disk, but belong to none: their tag is
 * the one behind the disk's, and the session's work sends them one after the
 * other and waits for each answer. That is slow, and does not matter: what is
 * needed meanwhile is fetched.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sort.h>

#include "memx.h"

/* So long may they go unanswered, as keep-alives may. */
#define MEMX_TELL_LIMIT_NS (3 * NSEC_PER_SEC)

/* Slots that one HAVE tells of. */
#define MEMX_HAVE_SLOTS (RMAP_MAX_HAVE_BYTES * BITS_PER_BYTE)

/*
 * Ask something of the server, in the session of this epoch, and wait for the
 * answer. Of the header opcode, slot, count and length are set. Return the
 * answer's status, or -ESHUTDOWN when the session ended meanwhile.
 */
static int memx_tell(struct memx_device *dev, u32 epoch, struct rmap_hdr *hdr,
		     const void *payload)
{
	struct memx_tell *tell = &dev->tell;
	u64 begun = ktime_get_ns();
	int ret = -ESHUTDOWN;

	spin_lock_bh(&tell->lock);
	if (tell->epoch != epoch) {
		tell->epoch = epoch;
		tell->generation = 0;
	}
	tell->generation++;
	tell->done = false;
	tell->opcode = hdr->opcode;
	spin_unlock_bh(&tell->lock);

	hdr->version = RMAP_VERSION;
	hdr->tag = cpu_to_le16(dev->queue_depth);
	hdr->generation = cpu_to_le32(tell->generation);
	for (;;) {
		u64 now = ktime_get_ns(), since;
		u64 rto = memx_rto_now_ns(dev) << min_t(u8, hdr->attempt, 6);

		if (!memx_send_in_session(dev, epoch, hdr, payload))
			break;
		wait_event_timeout(dev->wait,
				   READ_ONCE(tell->done) ||
				   READ_ONCE(dev->state) != MEMX_LIVE,
				   nsecs_to_jiffies(min_t(u64, rto,
							  NSEC_PER_SEC)) + 1);
		if (smp_load_acquire(&tell->done)) {
			ret = tell->status;
			break;
		}
		if (READ_ONCE(dev->state) != MEMX_LIVE)
			break;
		since = max(begun, READ_ONCE(dev->last_heard_ns));
		if (now > since && now - since > MEMX_TELL_LIMIT_NS) {
			memx_session_lost(dev, since, "the server is silent");
			break;
		}
		if (hdr->attempt < U8_MAX)
			hdr->attempt++;
	}
	spin_lock_bh(&tell->lock);
	tell->opcode = 0;
	spin_unlock_bh(&tell->lock);
	return ret;
}

/**
 * memx_tell_answer - take an answer to memx_tell()
 * @dev: the device
 * @session: its session, which the reply names
 * @hdr: the reply, its checksum verified
 * @skb: the frame
 * @offset: where the payload begins
 */
void memx_tell_answer(struct memx_device *dev, struct memx_session *session,
		      const struct rmap_hdr *hdr, struct sk_buff *skb,
		      unsigned int offset)
{
	unsigned int length = le16_to_cpu(hdr->length), expected = 0;
	u8 opcode = hdr->opcode & ~RMAP_REPLY;
	struct memx_tell *tell = &dev->tell;
	struct rmap_begun begun = {};
	int ret = -EALREADY;

	spin_lock_bh(&tell->lock);
	if (!tell->opcode || tell->done || tell->epoch != session->epoch ||
	    tell->generation != le32_to_cpu(hdr->generation) ||
	    (opcode != tell->opcode && opcode != RMAP_ERROR))
		goto out;
	ret = -EINVAL;
	if (opcode == RMAP_BEGIN && hdr->status == RMAP_OK)
		expected = RMAP_BEGUN_BYTES;
	if (length != expected ||
	    skb_copy_bits(skb, offset, &begun, expected) ||
	    (opcode == RMAP_ERROR && hdr->status == RMAP_OK))
		goto out;
	tell->status = hdr->status;
	tell->pages = le64_to_cpu(begun.pages);
	smp_store_release(&tell->done, true);
	ret = 0;
out:
	spin_unlock_bh(&tell->lock);
	if (ret) {
		memx_count(dev, ret == -EALREADY ? MEMX_LATE_REPLIES :
						   MEMX_BAD_FRAMES);
		return;
	}
	WRITE_ONCE(dev->last_heard_ns, ktime_get_ns());
	memx_session_credits(dev, le16_to_cpu(hdr->credits));
	wake_up(&dev->wait);
}

/*
 * From the first HINT or HAVE on the server notes what is fetched. What was
 * before is here when that has been answered, and memx_tell_have() says so.
 */
static int memx_tell_first(struct memx_device *dev, u32 epoch)
{
	struct rmap_hdr hdr = {
		.opcode = RMAP_HAVE,
		.length = cpu_to_le16(1),
	};

	memset(dev->tell.payload, 0, 1);
	return memx_tell(dev, epoch, &hdr, dev->tell.payload);
}

/* What is not needed: slots whose page is not at the server alone. */
static int memx_tell_have(struct memx_device *dev, u32 epoch)
{
	u8 *bitmap = dev->tell.payload;
	u64 first, slot;

	for (first = 0; first < dev->slots; first += MEMX_HAVE_SLOTS) {
		u64 end = min(dev->slots, first + MEMX_HAVE_SLOTS);
		struct rmap_hdr hdr = {
			.opcode = RMAP_HAVE,
			.slot = cpu_to_le64(first),
			.length = cpu_to_le16(DIV_ROUND_UP(end - first,
							   BITS_PER_BYTE)),
		};
		int status;

		memset(bitmap, 0, RMAP_MAX_HAVE_BYTES);
		for (slot = first; slot < end; slot++)
			if (!memx_slot_is_remote(dev, slot))
				bitmap[(slot - first) / BITS_PER_BYTE] |=
					1 << (slot - first) % BITS_PER_BYTE;
		if (!memchr_inv(bitmap, 0, RMAP_MAX_HAVE_BYTES))
			continue;
		status = memx_tell(dev, epoch, &hdr, bitmap);
		if (status)
			return status;
		cond_resched();
	}
	return 0;
}

/* Slots of a block, so that a device has MEMX_ORDER_BLOCKS of them at most. */
static u64 memx_order_block_slots(const struct memx_device *dev)
{
	return max_t(u64, MEMX_ORDER_LEAST_SLOTS,
		     DIV_ROUND_UP_ULL(dev->slots, MEMX_ORDER_BLOCKS));
}

/* The youngest blocks first, and those of one age in the order of slots. */
static int memx_order_compare(const void *left, const void *right)
{
	const struct memx_order_block *a = left, *b = right;

	if (a->stamp != b->stamp)
		return a->stamp > b->stamp ? -1 : 1;
	return a->block < b->block ? -1 : a->block > b->block;
}

/*
 * Put the blocks that have missing slots in order. A block is as young as the
 * youngest of these, and ages are rounded to MEMX_ORDER_AGES: what was written
 * at about the same time lies together, and so makes few extents. Return how
 * many blocks there are.
 */
static unsigned int memx_order_make(struct memx_device *dev)
{
	struct memx_order_block *order = dev->tell.order;
	u64 block_slots = memx_order_block_slots(dev);
	u64 oldest = U64_MAX, youngest = 0, slot, span;
	unsigned int count = 0, i;

	for (slot = 0; slot < dev->slots; slot++) {
		u32 block = div64_u64(slot, block_slots);
		u64 stamp;

		if (!memx_slot_is_remote(dev, slot))
			continue;
		stamp = memx_slot_stamp(dev, slot);
		oldest = min(oldest, stamp);
		youngest = max(youngest, stamp);
		if (!count || order[count - 1].block != block)
			order[count++] = (struct memx_order_block) {
				.block = block,
			};
		order[count - 1].stamp = max(order[count - 1].stamp, stamp);
		if (!(slot % MEMX_HAVE_SLOTS))
			cond_resched();
	}
	span = DIV_ROUND_UP_ULL(youngest - oldest + 1, MEMX_ORDER_AGES);
	for (i = 0; i < count; i++)
		order[i].stamp = div64_u64(order[i].stamp - oldest, span);
	sort(order, count, sizeof(*order), memx_order_compare, NULL);
	return count;
}

/*
 * The order in which the missing pages were last used, as far as it is known:
 * see memx_slot_stamp().
 */
static int memx_tell_order(struct memx_device *dev, u32 epoch, u32 *extents)
{
	const struct memx_order_block *order = dev->tell.order;
	struct rmap_extent *extent = dev->tell.payload;
	u64 block_slots = memx_order_block_slots(dev);
	unsigned int count = memx_order_make(dev), filled = 0, i = 0;

	*extents = 0;
	while (i < count) {
		unsigned int run = 1;
		int status;

		while (i + run < count &&
		       order[i + run].stamp == order[i].stamp &&
		       order[i + run].block == order[i].block + run)
			run++;
		extent[filled++] = (struct rmap_extent) {
			.slot = cpu_to_le64(order[i].block * block_slots),
			.count = cpu_to_le32(run * block_slots),
		};
		i += run;
		if (i == count || filled == RMAP_MAX_HINT_EXTENTS) {
			struct rmap_hdr hdr = {
				.opcode = RMAP_HINT,
				.length = cpu_to_le16(filled *
						      RMAP_EXTENT_BYTES),
				.count = cpu_to_le32(*extents),
			};

			status = memx_tell(dev, epoch, &hdr, extent);
			if (status)
				return status;
			*extents += filled;
			filled = 0;
		}
	}
	return 0;
}

/**
 * memx_tell_begin - say all that the server must know, and let it push
 * @dev: the device
 * @epoch: of the session
 * @pages: how many pages the server will push, when the return value is 0
 *
 * Return: 0, the status with which the server refuses, or -ESHUTDOWN.
 */
int memx_tell_begin(struct memx_device *dev, u32 epoch, u64 *pages)
{
	struct rmap_begin begin = {
		.rate = cpu_to_le64(dev->postcopy.rate),
		.window = cpu_to_le16(RMAP_PUSH_WINDOW),
	};
	struct rmap_hdr hdr = {
		.opcode = RMAP_BEGIN,
		.length = cpu_to_le16(RMAP_BEGIN_BYTES),
	};
	u32 extents;
	int status;

	status = memx_tell_first(dev, epoch);
	if (!status)
		status = memx_tell_order(dev, epoch, &extents);
	if (!status)
		status = memx_tell_have(dev, epoch);
	if (status)
		return status;
	memcpy(begin.strategy, dev->postcopy.strategy, sizeof(begin.strategy));
	begin.extents = cpu_to_le32(extents);
	if (dev->transport->offer)
		dev->transport->offer(dev, epoch, &begin);
	memx_push_begin(dev, epoch);
	status = memx_tell(dev, epoch, &hdr, &begin);
	*pages = dev->tell.pages;
	return status;
}

/**
 * memx_tell_end - say that nothing is missing
 * @dev: the device
 * @epoch: of the session
 *
 * Return: 0, the status with which the server refuses, or -ESHUTDOWN.
 */
int memx_tell_end(struct memx_device *dev, u32 epoch)
{
	struct rmap_end end = {
		.unused = cpu_to_le64(memx_slots_unread(dev)),
	};
	struct rmap_hdr hdr = {
		.opcode = RMAP_END,
		.length = cpu_to_le16(RMAP_END_BYTES),
	};

	return memx_tell(dev, epoch, &hdr, &end);
}

/**
 * memx_tell_discard - have the server forget all slots
 * @dev: the device
 * @epoch: of the session
 *
 * Return: 0, the status with which the server refuses, or -ESHUTDOWN.
 */
int memx_tell_discard(struct memx_device *dev, u32 epoch)
{
	u64 slot;

	for (slot = 0; slot < dev->slots; slot += RMAP_MAX_DISCARD_SLOTS) {
		struct rmap_hdr hdr = {
			.opcode = RMAP_DISCARD,
			.slot = cpu_to_le64(slot),
			.count = cpu_to_le32(min_t(u64, dev->slots - slot,
						   RMAP_MAX_DISCARD_SLOTS)),
		};
		int status = memx_tell(dev, epoch, &hdr, NULL);

		if (status)
			return status;
	}
	return 0;
}

/**
 * memx_tell_create - make a device able to tell
 * @dev: the device
 *
 * Return: 0 or -ENOMEM.
 */
int memx_tell_create(struct memx_device *dev)
{
	struct memx_tell *tell = &dev->tell;

	BUILD_BUG_ON(RMAP_MAX_HAVE_BYTES > PAGE_SIZE ||
		     RMAP_MAX_HINT_EXTENTS * RMAP_EXTENT_BYTES > PAGE_SIZE);
	spin_lock_init(&tell->lock);
	tell->payload = (void *)__get_free_page(GFP_KERNEL);
	tell->order = kvmalloc_array(MEMX_ORDER_BLOCKS, sizeof(*tell->order),
				     GFP_KERNEL);
	return tell->payload && tell->order ? 0 : -ENOMEM;
}

/**
 * memx_tell_destroy - the end of memx_tell_create(), whatever that returned
 * @dev: the device
 */
void memx_tell_destroy(struct memx_device *dev)
{
	free_page((unsigned long)dev->tell.payload);
	kvfree(dev->tell.order);
	dev->tell.payload = NULL;
	dev->tell.order = NULL;
}
