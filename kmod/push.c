// SPDX-License-Identifier: GPL-2.0
/*
 * Pushed pages, and telling the server that they have come.
 *
 * Pushes are numbered from 1 in each round, which a BEGIN begins. @first is the
 * number that has not arrived yet, and bit i of @behind says that number
 * @first + 1 + i has. At most RMAP_PUSH_WINDOW are on their way, so number n has
 * its place at n % RMAP_PUSH_WINDOW. There it is put together, under that
 * place's lock, in a page that the slot map gets when it is whole; from the
 * slot, whoever waits for it gets it. Without a free page the push is dropped:
 * as it is not acknowledged, it is sent again.
 *
 * Acknowledgements leave from a tasklet. The softirq that receives raises it,
 * and it runs when that has emptied the network device's ring, so that one
 * PUSHED tells of all pushes that came together. If frames keep coming, the
 * push that finds one owed for MEMX_PUSHED_LATE_NS sends it.
 */
#include <linux/highmem.h>
#include <linux/interrupt.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/xxhash.h>

#include "memx.h"

/* So long may a push wait for its acknowledgement. */
#define MEMX_PUSHED_LATE_NS (20 * NSEC_PER_USEC)

/* Bounds of how long an announced page is waited for. */
#define MEMX_PATIENCE_MIN_NS (3ULL * NSEC_PER_MSEC)
#define MEMX_PATIENCE_MAX_NS (100ULL * NSEC_PER_MSEC)
/*
 * How far into a promise who needs a page may go and still wait without asking:
 * at its far end they would wait for all before it.
 */
#define MEMX_PUSH_NEAR 8

/**
 * struct memx_push_place - a push that has not arrived whole
 * @lock: softirqs off
 * @round: when it was pushed
 * @number: of the push, in that round
 * @slot: what it is a page of
 * @page: where it is put together, NULL while nothing of it has come
 * @missing: fragments that have not come, 0 when it is whole
 */
struct memx_push_place {
	spinlock_t lock;
	u32 round;
	u32 number;
	u64 slot;
	struct page *page;
	u8 missing;
} ____cacheline_aligned_in_smp;

/**
 * struct memx_push - what has been pushed to a device
 * @dev: the device
 * @lock: protects @epoch to @ended, for a few instructions; softirqs off
 * @epoch: the session whose pushes are taken, 0 for none
 * @round: counts what memx_push_begin() began
 * @first: the first number that has not arrived
 * @behind: bit i is set when number @first + 1 + i has
 * @owed: the server is to be told
 * @owed_ns: since when
 * @ended: the server has nothing more to push
 * @unwanted: pushes that the slot map had no use for
 * @wait_ns: how long announced pages take of late
 * @announced: bit a slot: the server has said that it pushes it very soon
 * @tasklet: sends PUSHED
 * @places: of the pushes on their way
 */
struct memx_push {
	struct memx_device *dev;
	spinlock_t lock;
	u32 epoch;
	u32 round;
	u32 first;
	u64 behind;
	bool owed;
	u64 owed_ns;
	bool ended;
	atomic_t unwanted;
	u64 wait_ns;
	unsigned long *announced;
	struct tasklet_struct tasklet;
	struct memx_push_place places[RMAP_PUSH_WINDOW];
};

/* Tell the server what has arrived, if it is to be told. */
static void memx_pushed_send(struct memx_push *push)
{
	struct memx_device *dev = push->dev;
	struct rmap_hdr hdr = {
		.version = RMAP_VERSION,
		.opcode = RMAP_PUSHED,
		.tag = cpu_to_le16(RMAP_NO_TAG),
		.credits = cpu_to_le16(RMAP_PUSH_WINDOW),
		.count = cpu_to_le32(atomic_read(&push->unwanted)),
	};
	struct memx_session *session;
	struct memx_burst burst;
	bool owed;

	memx_burst_init(&burst);
	rcu_read_lock();
	session = rcu_dereference(dev->session);
	spin_lock_bh(&push->lock);
	owed = session && push->owed && push->epoch == session->epoch;
	if (owed) {
		push->owed = false;
		hdr.generation = cpu_to_le32(push->first);
		hdr.slot = cpu_to_le64(push->behind);
	}
	spin_unlock_bh(&push->lock);
	if (owed) {
		hdr.session = cpu_to_le32(session->id);
		memx_burst_add(dev, session, &burst, &hdr, NULL, 0);
	}
	rcu_read_unlock();
	memx_burst_send(dev, &burst);
}

static void memx_pushed_tasklet(struct tasklet_struct *tasklet)
{
	struct memx_push *push = from_tasklet(push, tasklet, tasklet);

	memx_pushed_send(push);
}

/*
 * Is this number still to arrive, and in which round? The server will be told,
 * also when it has come before. Return 0, -EALREADY when it has come before or
 * nothing is to come, -EINVAL for a number that no server may have used yet.
 */
static int memx_push_expect(struct memx_push *push, u32 epoch, u32 number,
			    u32 *round)
{
	bool late = false;
	s32 distance;
	u64 now = ktime_get_ns();
	int ret = 0;

	spin_lock_bh(&push->lock);
	distance = number - push->first;
	*round = push->round;
	if (push->epoch != epoch)
		ret = -ESTALE;
	else if (distance >= RMAP_PUSH_WINDOW)
		ret = -EINVAL;
	else if (distance < 0 ||
		 (distance && push->behind >> (distance - 1) & 1))
		ret = -EALREADY;
	if (!ret || ret == -EALREADY) {
		late = push->owed && now - push->owed_ns > MEMX_PUSHED_LATE_NS;
		if (!push->owed) {
			push->owed = true;
			push->owed_ns = now;
			tasklet_schedule(&push->tasklet);
		}
	}
	spin_unlock_bh(&push->lock);
	if (late)
		memx_pushed_send(push);
	return ret == -ESTALE ? -EALREADY : ret;
}

/* A number has arrived. */
static void memx_push_note(struct memx_push *push, u32 round, u32 number)
{
	s32 distance;

	spin_lock_bh(&push->lock);
	distance = number - push->first;
	if (push->round != round || distance < 0) {
		/* A new round counts from 1 again. */
	} else if (distance) {
		push->behind |= 1ULL << (distance - 1);
	} else {
		/* And those that follow it. The top bit is never set. */
		unsigned int run = __ffs64(~push->behind);

		push->first += run + 1;
		push->behind = push->behind >> run >> 1;
	}
	if (!push->owed && push->round == round) {
		push->owed = true;
		push->owed_ns = ktime_get_ns();
		tasklet_schedule(&push->tasklet);
	}
	spin_unlock_bh(&push->lock);
}

/* Copy what a message carries to its place in the page, and verify it there. */
static int memx_push_copy(struct page *page, const struct rmap_hdr *hdr,
			  unsigned int at, struct sk_buff *skb,
			  unsigned int offset)
{
	unsigned int length = le16_to_cpu(hdr->length);
	void *bytes;
	int ret = 0;

	if (!length) {
		/* All zeros; its checksum has been looked at already. */
		clear_highpage(page);
		return 0;
	}
	bytes = kmap_local_page(page);
	if (skb_copy_bits(skb, offset, bytes + at, length) ||
	    memx_header_sum(hdr, xxh64(bytes + at, length, 0)) !=
		    le64_to_cpu(hdr->checksum))
		ret = -EBADMSG;
	kunmap_local(bytes);
	return ret;
}

/*
 * A page or a fragment. Return 0; or 1 with the page, now the caller's, when it
 * is whole; -EINVAL, -EALREADY, -EBADMSG after a wrong checksum, -ENOMEM when
 * there is no page to put it in.
 */
static int memx_push_piece(struct memx_push *push, u32 round,
			   const struct rmap_hdr *hdr, struct sk_buff *skb,
			   unsigned int offset, struct page **page)
{
	u32 number = le32_to_cpu(hdr->generation);
	struct memx_push_place *place =
		&push->places[number % RMAP_PUSH_WINDOW];
	u64 slot = le64_to_cpu(hdr->slot);
	unsigned int at;
	int ret;

	if (slot >= push->dev->slots || memx_page_piece(hdr, &at))
		return -EINVAL;
	spin_lock_bh(&place->lock);
	ret = -EALREADY;
	/* Later ones have it already. */
	if ((s32)(round - place->round) < 0 ||
	    (round == place->round && (s32)(number - place->number) < 0))
		goto out;
	if (round != place->round || number != place->number) {
		place->round = round;
		place->number = number;
		place->slot = slot;
		place->missing = RMAP_ALL_FRAGMENTS;
	}
	if ((place->missing & hdr->fragments) != hdr->fragments)
		goto out;
	ret = -EINVAL;
	if (place->slot != slot)
		goto out;
	ret = -ENOMEM;
	if (!place->page)
		place->page = memx_page_take(push->dev);
	if (!place->page)
		goto out;
	ret = memx_push_copy(place->page, hdr, at, skb, offset);
	if (ret)
		goto out;
	place->missing &= ~hdr->fragments;
	if (!place->missing) {
		*page = place->page;
		place->page = NULL;
		ret = 1;
	}
out:
	spin_unlock_bh(&place->lock);
	return ret;
}

/* A whole page goes to its slot, if that still wants it. */
static void memx_push_land(struct memx_push *push, u64 slot, struct page *page)
{
	struct memx_device *dev = push->dev;

	if (memx_slot_arrived(dev, slot, page)) {
		memx_count(dev, MEMX_PUSHED_PAGES);
		memx_requests_arrived(dev, slot);
	} else {
		memx_page_give(dev, page);
		atomic_inc(&push->unwanted);
		memx_count(dev, MEMX_UNWANTED_PUSHES);
	}
}

static int memx_push_end(struct memx_push *push, u32 round,
			 const struct rmap_hdr *hdr)
{
	if (hdr->length)
		return -EINVAL;
	memx_push_note(push, round, le32_to_cpu(hdr->generation));
	spin_lock_bh(&push->lock);
	if (push->round == round)
		push->ended = true;
	spin_unlock_bh(&push->lock);
	memx_session_kick(push->dev);
	return 0;
}

/**
 * memx_push_announce - the server says what it will push very soon
 * @dev: the device
 * @hdr: a PUSH, or the reply to a READ
 */
void memx_push_announce(struct memx_device *dev, const struct rmap_hdr *hdr)
{
	s64 slot = le32_to_cpu(hdr->count);
	int left = abs(hdr->ahead);

	for (; left; left--, slot += hdr->ahead > 0 ? 1 : -1) {
		if (slot < 0 || slot >= dev->slots)
			return;
		set_bit(slot, dev->push->announced);
	}
}

static bool memx_push_all_announced(struct memx_device *dev, u64 first)
{
	u64 end = first + MEMX_PUSH_NEAR;

	return end <= dev->slots &&
	       find_next_zero_bit(dev->push->announced, end, first) == end;
}

/*
 * Whether many pages come before an announced one: those on one side of it are
 * all announced, and none about it has come. The nearest are looked at first:
 * who goes on from page to page has just had one of them.
 */
static bool memx_push_is_far(struct memx_device *dev, u64 slot)
{
	u64 away;

	if (!memx_push_all_announced(dev, slot + 1) &&
	    (slot < MEMX_PUSH_NEAR ||
	     !memx_push_all_announced(dev, slot - MEMX_PUSH_NEAR)))
		return false;
	for (away = 1; away <= MEMX_PUSH_NEAR; away++)
		if ((slot >= away && !memx_slot_is_remote(dev, slot - away)) ||
		    (slot + away < dev->slots &&
		     !memx_slot_is_remote(dev, slot + away)))
			return false;
	return true;
}

/**
 * memx_push_is_announced - is a missing page on its way, or nearly?
 * @dev: the device
 * @slot: the slot
 *
 * An announcement is good for one question: if the page does not come, it is
 * asked for.
 *
 * Return: whether to wait a while before asking for it: not for one that many
 * others would come before.
 */
bool memx_push_is_announced(struct memx_device *dev, u64 slot)
{
	return test_and_clear_bit(slot, dev->push->announced) &&
	       !memx_push_is_far(dev, slot);
}

/**
 * memx_push_patience_ns - how long to wait for an announced page
 * @dev: the device
 *
 * Longer than any queue: twice what announced pages took of late, as others may
 * share the link.
 *
 * Return: nanoseconds.
 */
u64 memx_push_patience_ns(const struct memx_device *dev)
{
	return clamp(2 * READ_ONCE(dev->push->wait_ns), MEMX_PATIENCE_MIN_NS,
		     MEMX_PATIENCE_MAX_NS);
}

/**
 * memx_push_waited - an announced page has come, or is asked for after all
 * @dev: the device
 * @ns: how long it was waited for
 *
 * Two at a time may lose one of both: it is an estimate.
 */
void memx_push_waited(struct memx_device *dev, u64 ns)
{
	u64 wait = READ_ONCE(dev->push->wait_ns);

	WRITE_ONCE(dev->push->wait_ns, wait - wait / 8 + ns / 8);
}

/**
 * memx_push_receive - take a PUSH
 * @dev: the device
 * @session: its session, which the message names
 * @hdr: the message; its checksum verified unless it has a payload
 * @skb: the frame
 * @offset: where the payload begins
 *
 * Return: false after a wrong checksum, when the frame can be trusted no more.
 */
bool memx_push_receive(struct memx_device *dev, struct memx_session *session,
		       const struct rmap_hdr *hdr, struct sk_buff *skb,
		       unsigned int offset)
{
	struct memx_push *push = dev->push;
	u32 number = le32_to_cpu(hdr->generation);
	struct page *page;
	u32 round;
	int ret;

	ret = memx_push_expect(push, session->epoch, number, &round);
	if (!ret && hdr->fragments)
		ret = memx_push_piece(push, round, hdr, skb, offset, &page);
	else if (!ret)
		ret = memx_push_end(push, round, hdr);
	if (ret == 1) {
		memx_push_land(push, le64_to_cpu(hdr->slot), page);
		memx_push_note(push, round, number);
	}
	if (ret >= 0)
		memx_push_announce(dev, hdr);
	if (ret >= 0)
		return true;
	if (ret == -EBADMSG ||
	    (hdr->length && !memx_sum_matches(hdr, skb, offset))) {
		memx_count(dev, MEMX_BAD_CHECKSUM);
		return false;
	}
	if (ret == -EALREADY)
		memx_count(dev, MEMX_REPEATED_PUSHES);
	else
		memx_count(dev, ret == -ENOMEM ? MEMX_RX_NOMEM :
						 MEMX_BAD_FRAMES);
	return true;
}

/**
 * memx_push_has_ended - has the server said that it has nothing more to push?
 * @dev: the device
 *
 * Return: whether it has, in the newest session.
 */
bool memx_push_has_ended(struct memx_device *dev)
{
	return READ_ONCE(dev->push->ended);
}

/**
 * memx_push_begin - pushes are taken from now on
 * @dev: the device
 * @epoch: of the session that is about to hear of BEGIN
 */
void memx_push_begin(struct memx_device *dev, u32 epoch)
{
	struct memx_push *push = dev->push;

	spin_lock_bh(&push->lock);
	push->epoch = epoch;
	push->round++;
	push->first = 1;
	push->behind = 0;
	push->owed = false;
	push->ended = false;
	atomic_set(&push->unwanted, 0);
	spin_unlock_bh(&push->lock);
	/* Nothing that was announced in an earlier round is on its way. */
	memset(push->announced, 0,
	       BITS_TO_LONGS(dev->slots) * sizeof(unsigned long));
}

/**
 * memx_push_stop - pushes are taken no more
 * @dev: the device
 */
void memx_push_stop(struct memx_device *dev)
{
	spin_lock_bh(&dev->push->lock);
	dev->push->epoch = 0;
	spin_unlock_bh(&dev->push->lock);
}

/**
 * memx_push_create - make a device able to tell of a post-copy and take pushes
 * @dev: the device, its number of slots known
 *
 * Return: 0 or -ENOMEM.
 */
int memx_push_create(struct memx_device *dev)
{
	struct memx_push *push = kvzalloc(sizeof(*push), GFP_KERNEL);
	unsigned int i;

	if (!push)
		return -ENOMEM;
	push->announced = kvcalloc(BITS_TO_LONGS(dev->slots),
				   sizeof(unsigned long), GFP_KERNEL);
	if (!push->announced || memx_tell_create(dev)) {
		memx_tell_destroy(dev);
		kvfree(push->announced);
		kvfree(push);
		return -ENOMEM;
	}
	push->dev = dev;
	push->first = 1;
	spin_lock_init(&push->lock);
	tasklet_setup(&push->tasklet, memx_pushed_tasklet);
	for (i = 0; i < RMAP_PUSH_WINDOW; i++)
		spin_lock_init(&push->places[i].lock);
	/* Frames are coming already. */
	smp_store_release(&dev->push, push);
	return 0;
}

/**
 * memx_push_destroy - the end of memx_push_create()
 * @dev: the device; no frame comes any more
 */
void memx_push_destroy(struct memx_device *dev)
{
	struct memx_push *push = dev->push;
	unsigned int i;

	if (!push)
		return;
	memx_tell_destroy(dev);
	tasklet_kill(&push->tasklet);
	for (i = 0; i < RMAP_PUSH_WINDOW; i++)
		if (push->places[i].page)
			__free_page(push->places[i].page);
	kvfree(push->announced);
	kvfree(push);
	dev->push = NULL;
}
