// SPDX-License-Identifier: GPL-2.0
/*
 * Requests on the wire: sending, sending again, replies.
 *
 * A request belongs to its struct memx_cmd from memx_request_start() until
 * somebody takes it out again under the command's lock: its reply, blk-mq's
 * timeout, or the device's failure. Whoever takes it out ends it, so it ends
 * once; and as its page is only touched under that lock, a reply that comes
 * later finds no page to write to.
 *
 * A new session changes a request's generation, and its tag counts from 1
 * again (memx_cmd_begin). The session is published before all commands are
 * walked, and the walk takes each lock: a request that starts meanwhile is
 * either seen by the walk or sees the new session. States that fail requests
 * work the same way.
 */
#include <linux/bitmap.h>
#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "memx.h"

/* Silence longer than this many round-trip timeouts ends a session ... */
#define MEMX_SILENCE_RTOS 8
/* ... but not before the server had time for a pause, ... */
#define MEMX_SILENCE_MIN_NS NSEC_PER_SEC
/* ... nor before a request was sent so often: the pause may be this machine's. */
#define MEMX_SILENCE_SENDS 4

static unsigned int memx_fragment_bytes(unsigned int fragment)
{
	return min_t(unsigned int, RMAP_FRAGMENT_BYTES,
		     RMAP_PAGE_BYTES - fragment * RMAP_FRAGMENT_BYTES);
}

/* The estimator may change meanwhile; any mixture of old and new serves. */
static struct memx_rtt memx_rtt_read(const struct memx_device *dev)
{
	struct memx_rtt rtt = {
		.srtt_ns = READ_ONCE(dev->rtt.srtt_ns),
		.rttvar_ns = READ_ONCE(dev->rtt.rttvar_ns),
		.newest_answered_ns = READ_ONCE(dev->rtt.newest_answered_ns),
	};

	return rtt;
}

/**
 * memx_rto_now_ns - the timeout of a request that is sent now
 * @dev: the device
 *
 * Return: nanoseconds.
 */
u64 memx_rto_now_ns(const struct memx_device *dev)
{
	struct memx_rtt rtt = memx_rtt_read(dev);

	return memx_rto_ns(&rtt, 0);
}

static void memx_timer_within(struct memx_device *dev, u64 ns)
{
	timer_reduce(&dev->timer, jiffies + nsecs_to_jiffies(ns) + 1);
}

/**
 * memx_credit_take - may one request more be outstanding?
 * @dev: the device
 *
 * Never takes a credit only to give it back: two that did so at once could
 * each turn the other away with nothing outstanding that would wake them. When
 * this says no, a request is outstanding, and its end runs the queue again.
 *
 * Return: whether it may; if so, it counts.
 */
bool memx_credit_take(struct memx_device *dev)
{
	int inflight = atomic_read(&dev->inflight);

	do {
		if (inflight >= (int)READ_ONCE(dev->credits)) {
			memx_count(dev, MEMX_CREDIT_WAITS);
			set_bit(0, &dev->starved);
			return false;
		}
	} while (!atomic_try_cmpxchg(&dev->inflight, &inflight, inflight + 1));
	return true;
}

/**
 * memx_credit_give - a request is no longer outstanding
 * @dev: the device
 *
 * To be called before the request ends, so that the run of the queue that
 * its end causes finds the credit.
 */
void memx_credit_give(struct memx_device *dev)
{
	atomic_dec(&dev->inflight);
}

/* Give the request a cookie of this session. */
static void memx_cmd_begin(struct memx_cmd *cmd,
			   const struct memx_session *session)
{
	if (cmd->epoch != session->epoch) {
		cmd->epoch = session->epoch;
		cmd->generation = 0;
	}
	cmd->generation++;
	cmd->attempt = 0;
	cmd->patient = false;
	cmd->missing = cmd->opcode == RMAP_READ ? RMAP_ALL_FRAGMENTS : 0;
}

/* Send, or send again, what is missing of a request. Under its lock. */
static void memx_cmd_send(struct memx_device *dev, struct memx_session *session,
			  struct memx_cmd *cmd, struct memx_burst *burst,
			  u64 now)
{
	struct rmap_hdr hdr = {
		.version = RMAP_VERSION,
		.opcode = cmd->opcode,
		.attempt = cmd->attempt,
		.session = cpu_to_le32(session->id),
		.tag = cpu_to_le16(cmd->tag),
		.generation = cpu_to_le32(cmd->generation),
		.slot = cpu_to_le64(cmd->slot),
		.fragments = cmd->missing,
		.count = cpu_to_le32(cmd->count),
	};
	int moved = -EOPNOTSUPP;
	bool made = true;
	unsigned int i;

	/* Until its frame is sent; for good if there is no memory for one. */
	WRITE_ONCE(cmd->sent_ns, now);
	if (READ_ONCE(dev->oldest_sent_ns) == U64_MAX)
		WRITE_ONCE(dev->oldest_sent_ns, now);

	/* The order of pushes follows the READs that the server sees. */
	if (dev->transport->move && !memx_postcopy_is_on(dev) &&
	    (cmd->opcode == RMAP_READ || cmd->opcode == RMAP_WRITE))
		moved = dev->transport->move(dev, session, burst, &hdr, cmd->rq);
	if (!moved) {
		cmd->direct = true;
	} else if (moved == -EAGAIN) {
		made = false;
	} else if (cmd->opcode != RMAP_WRITE) {
		made = memx_burst_add(dev, session, burst, &hdr, NULL, 0);
	} else if (memx_payload_is_zero(cmd->rq)) {
		hdr.fragments = RMAP_ALL_FRAGMENTS;
		if (!cmd->attempt)
			memx_count(dev, MEMX_ZERO_PAGES);
		made = memx_burst_add(dev, session, burst, &hdr, NULL, 0);
	} else if (session->mtu >= RMAP_WHOLE_PAGE_MTU) {
		hdr.fragments = RMAP_ALL_FRAGMENTS;
		hdr.length = cpu_to_le16(RMAP_PAGE_BYTES);
		made = memx_burst_add(dev, session, burst, &hdr, cmd->rq, 0);
	} else {
		for (i = 0; i < RMAP_FRAGMENTS; i++) {
			hdr.fragments = 1 << i;
			hdr.length = cpu_to_le16(memx_fragment_bytes(i));
			made &= memx_burst_add(dev, session, burst, &hdr,
					       cmd->rq,
					       i * RMAP_FRAGMENT_BYTES);
		}
	}
	WRITE_ONCE(cmd->unsent, !made);
}

/* May it have to be sent again? */
static bool memx_cmd_is_watched(const struct memx_device *dev,
				const struct memx_cmd *cmd)
{
	return !dev->transport->is_reliable || READ_ONCE(cmd->unsent);
}

/* Somebody waits for what is asked of the server. */
static void memx_cmd_fault(struct memx_device *dev, const struct memx_cmd *cmd)
{
	if (cmd->opcode == RMAP_READ && memx_postcopy_is_on(dev))
		memx_count(dev, MEMX_NETWORK_FAULTS);
}

/* An announced page has not come: ask for it. Under its lock. */
static void memx_cmd_ask(struct memx_device *dev, struct memx_session *session,
			 struct memx_cmd *cmd, struct memx_burst *burst,
			 u64 now)
{
	cmd->patient = false;
	memx_cmd_fault(dev, cmd);
	memx_push_waited(dev, now - cmd->started_ns);
	memx_cmd_send(dev, session, cmd, burst, now);
}

static void memx_cmd_send_again(struct memx_device *dev,
				struct memx_session *session,
				struct memx_cmd *cmd, struct memx_burst *burst,
				u64 now)
{
	/* What has never left is not sent again, but for the first time. */
	if (!dev->transport->is_reliable) {
		if (!cmd->attempt)
			cmd->first_sent_ns = READ_ONCE(cmd->sent_ns);
		if (cmd->attempt < U8_MAX)
			cmd->attempt++;
		memx_count(dev, MEMX_RETRANSMITS);
	}
	memx_cmd_send(dev, session, cmd, burst, now);
}

/*
 * Take the request out, under its command's lock. From here on it is the
 * caller's to end.
 */
static struct request *memx_cmd_take_out(struct memx_device *dev,
					 struct memx_cmd *cmd,
					 blk_status_t status)
{
	struct request *rq = cmd->rq;
	u64 ns = ktime_get_ns() - cmd->started_ns;
	u64 us = div_u64(ns, NSEC_PER_USEC);

	cmd->rq = NULL;
	clear_bit(cmd->tag, dev->outstanding);
	if (cmd->opcode == RMAP_READ && memx_postcopy_is_on(dev))
		memx_postcopy_waited(dev, ns);
	if (status != BLK_STS_OK) {
		memx_count(dev, MEMX_ERRORS);
		return rq;
	}
	switch (cmd->opcode) {
	case RMAP_READ:
		memx_count(dev, MEMX_READS);
		this_cpu_inc(dev->percpu->read_us[memx_histogram_bucket(us)]);
		break;
	case RMAP_WRITE:
		memx_count(dev, MEMX_WRITES);
		this_cpu_inc(dev->percpu->write_us[memx_histogram_bucket(us)]);
		break;
	case RMAP_DISCARD:
		memx_count(dev, MEMX_DISCARDS);
		memx_count_many(dev, MEMX_DISCARDED_PAGES, cmd->count);
		break;
	case RMAP_FLUSH:
		memx_count(dev, MEMX_FLUSHES);
		break;
	}
	return rq;
}

static void memx_request_end(struct memx_device *dev, struct request *rq,
			     blk_status_t status)
{
	memx_credit_give(dev);
	blk_mq_end_request(rq, status);
}

/**
 * memx_request_start - take a request from blk-mq and send it
 * @dev: the device
 * @rq: the request, started, with a credit
 * @batch: gathers its messages; the caller sends them
 *
 * While there is no session the request waits for one. So does nobody who reads
 * a slot that has been filled meanwhile: after the request can be found by who
 * fills slots (memx_requests_arrived()), the slot is looked at once more.
 *
 * Return: BLK_STS_OK, or why not.
 */
blk_status_t memx_request_start(struct memx_device *dev, struct request *rq,
				struct memx_batch *batch)
{
	struct memx_cmd *cmd = &dev->cmds[rq->tag];
	struct memx_session *session;
	enum memx_state state;
	u64 now = ktime_get_ns();
	bool filled = false;
	u32 count = 0;
	u8 opcode;

	switch (req_op(rq)) {
	case REQ_OP_READ:
		opcode = RMAP_READ;
		/* The server tells programs apart by it. */
		count = task_pid_nr(current);
		break;
	case REQ_OP_WRITE:
		opcode = RMAP_WRITE;
		break;
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		opcode = RMAP_DISCARD;
		count = blk_rq_sectors(rq) / MEMX_SLOT_SECTORS;
		break;
	case REQ_OP_FLUSH:
		opcode = RMAP_FLUSH;
		break;
	default:
		return BLK_STS_NOTSUPP;
	}
	/* The limits of the queue promise all this. */
	if (opcode == RMAP_READ || opcode == RMAP_WRITE) {
		if (WARN_ON_ONCE(blk_rq_bytes(rq) != RMAP_PAGE_BYTES))
			return BLK_STS_IOERR;
	}
	if (opcode == RMAP_DISCARD) {
		if (WARN_ON_ONCE(!count || count > RMAP_MAX_DISCARD_SLOTS))
			return BLK_STS_IOERR;
	}

	rcu_read_lock();
	spin_lock_bh(&cmd->lock);
	state = READ_ONCE(dev->state);
	if (state != MEMX_LIVE && state != MEMX_RECONNECTING) {
		spin_unlock_bh(&cmd->lock);
		rcu_read_unlock();
		return BLK_STS_IOERR;
	}
	cmd->opcode = opcode;
	cmd->slot = opcode == RMAP_FLUSH ? 0 :
					   blk_rq_pos(rq) / MEMX_SLOT_SECTORS;
	cmd->count = count;
	cmd->started_ns = now;
	WRITE_ONCE(cmd->sent_ns, now);
	cmd->rq = rq;
	cmd->given_up = false;
	set_bit(cmd->tag, dev->outstanding);
	if (opcode == RMAP_READ && dev->map) {
		/* Pairs with memx_requests_arrived(). */
		smp_mb__after_atomic();
		filled = memx_slot_read(dev, cmd->slot, rq);
	}
	session = rcu_dereference(dev->session);
	if (filled) {
		memx_cmd_take_out(dev, cmd, BLK_STS_OK);
	} else if (session && opcode == RMAP_READ && memx_postcopy_is_on(dev) &&
		   memx_push_is_announced(dev, cmd->slot)) {
		memx_cmd_begin(cmd, session);
		cmd->patient = true;
		memx_timer_within(dev, memx_push_patience_ns(dev));
	} else if (session) {
		memx_cmd_begin(cmd, session);
		memx_cmd_fault(dev, cmd);
		spin_lock(&batch->lock);
		memx_cmd_send(dev, session, cmd, &batch->burst, now);
		spin_unlock(&batch->lock);
		if (memx_cmd_is_watched(dev, cmd))
			memx_timer_within(dev, memx_rto_now_ns(dev));
	} else {
		/* An earlier session's, so the next one sends it. */
		cmd->attempt = 0;
		cmd->patient = false;
		memx_cmd_fault(dev, cmd);
	}
	spin_unlock_bh(&cmd->lock);
	rcu_read_unlock();
	if (filled)
		memx_request_end(dev, rq, BLK_STS_OK);
	return BLK_STS_OK;
}

/**
 * memx_requests_arrived - a slot has been filled by a push: end who reads it
 * @dev: the device
 * @slot: the slot
 */
void memx_requests_arrived(struct memx_device *dev, u64 slot)
{
	unsigned int tag;

	/* Pairs with memx_request_start(): either sees what the other did. */
	smp_mb();
	for_each_set_bit(tag, dev->outstanding, dev->queue_depth) {
		struct memx_cmd *cmd = &dev->cmds[tag];
		struct request *rq = NULL;

		if (READ_ONCE(cmd->slot) != slot)
			continue;
		spin_lock_bh(&cmd->lock);
		if (cmd->rq && cmd->opcode == RMAP_READ && cmd->slot == slot &&
		    !cmd->direct &&
		    memx_slot_read(dev, slot, cmd->rq)) {
			if (cmd->patient) {
				memx_count(dev, MEMX_ANNOUNCED_FAULTS);
				memx_push_waited(dev, ktime_get_ns() -
							      cmd->started_ns);
			}
			rq = memx_cmd_take_out(dev, cmd, BLK_STS_OK);
		}
		spin_unlock_bh(&cmd->lock);
		if (rq) {
			/* The map took it for a fault that has not waited. */
			memx_count_many(dev, MEMX_MINOR_FAULTS, -1);
			memx_request_end(dev, rq, BLK_STS_OK);
		}
	}
}

/**
 * memx_requests_sent - a frame with messages of requests is being sent
 * @dev: the device
 * @tags: the requests
 * @count: how many
 *
 * Their commands' locks are not taken: should one have ended meanwhile, and its
 * tag be in use again, then the new request counts as sent a moment later than
 * it was, which delays at most its being sent again.
 */
void memx_requests_sent(struct memx_device *dev, const u16 *tags,
			unsigned int count)
{
	u64 now = ktime_get_ns();
	unsigned int i;

	for (i = 0; i < count; i++)
		WRITE_ONCE(dev->cmds[tags[i]].sent_ns, now);
}
EXPORT_SYMBOL_GPL(memx_requests_sent);

/**
 * memx_requests_resend - send what is outstanding under a new session
 * @dev: the device, its session just published
 */
void memx_requests_resend(struct memx_device *dev)
{
	struct memx_session *session;
	struct memx_burst burst;
	unsigned int tag;

	memx_burst_init(&burst);
	rcu_read_lock();
	session = rcu_dereference(dev->session);
	for (tag = 0; session && tag < dev->queue_depth; tag++) {
		struct memx_cmd *cmd = &dev->cmds[tag];

		spin_lock_bh(&cmd->lock);
		if (cmd->rq && cmd->epoch != session->epoch) {
			if (cmd->patient)
				memx_cmd_fault(dev, cmd);
			memx_cmd_begin(cmd, session);
			memx_cmd_send(dev, session, cmd, &burst,
				      ktime_get_ns());
		}
		spin_unlock_bh(&cmd->lock);
	}
	rcu_read_unlock();
	memx_burst_send(dev, &burst);
	memx_timer_within(dev, memx_rto_now_ns(dev));
}

/**
 * memx_request_moved - a page is in the transport's hands no more
 * @dev: the device
 * @tag: of the request
 * @epoch: of the session that it was to be moved in
 * @done: it has been moved; else the request waits for the next session, which
 *	may have begun
 */
void memx_request_moved(struct memx_device *dev, u16 tag, u32 epoch, bool done)
{
	struct memx_cmd *cmd = &dev->cmds[tag];
	blk_status_t status = done ? BLK_STS_OK : BLK_STS_IOERR;
	struct request *rq = NULL;

	spin_lock_bh(&cmd->lock);
	if (cmd->epoch != epoch) {
		spin_unlock_bh(&cmd->lock);
		return;
	}
	cmd->direct = false;
	if (done || cmd->given_up)
		rq = memx_cmd_take_out(dev, cmd, status);
	spin_unlock_bh(&cmd->lock);
	if (done) {
		memx_count(dev, MEMX_ONE_SIDED);
		WRITE_ONCE(dev->last_heard_ns, ktime_get_ns());
	}
	if (rq)
		memx_request_end(dev, rq, status);
}
EXPORT_SYMBOL_GPL(memx_request_moved);

/**
 * memx_requests_hurry - there is memory again for messages that had none
 * @dev: the device
 */
void memx_requests_hurry(struct memx_device *dev)
{
	memx_timer_within(dev, 0);
}
EXPORT_SYMBOL_GPL(memx_requests_hurry);

/**
 * memx_requests_fail - end all outstanding requests with an error
 * @dev: the device, in a state that starts no more
 */
void memx_requests_fail(struct memx_device *dev)
{
	unsigned int tag;

	for (tag = 0; tag < dev->queue_depth; tag++) {
		struct memx_cmd *cmd = &dev->cmds[tag];
		struct request *rq = NULL;

		spin_lock_bh(&cmd->lock);
		if (cmd->direct)
			cmd->given_up = true;
		else if (cmd->rq)
			rq = memx_cmd_take_out(dev, cmd, BLK_STS_IOERR);
		spin_unlock_bh(&cmd->lock);
		if (rq)
			memx_request_end(dev, rq, BLK_STS_IOERR);
	}
	if (dev->disk)
		blk_mq_run_hw_queues(dev->disk->queue, true);
}

/**
 * memx_request_give_up - a request has had no answer for timeout_s
 * @dev: the device
 * @rq: the request
 *
 * A late copy of a write that has failed must not hit the slot after a newer
 * write: so the session ends before the request does, and nothing is sent
 * until there is another.
 *
 * Return: false when it has ended by itself, or will.
 */
bool memx_request_give_up(struct memx_device *dev, struct request *rq)
{
	struct memx_cmd *cmd = &dev->cmds[rq->tag];
	bool direct;

	spin_lock_bh(&cmd->lock);
	if (cmd->rq != rq) {
		spin_unlock_bh(&cmd->lock);
		return false;
	}
	direct = cmd->direct;
	if (direct)
		cmd->given_up = true;
	else
		memx_cmd_take_out(dev, cmd, BLK_STS_IOERR);
	spin_unlock_bh(&cmd->lock);

	memx_count(dev, MEMX_TIMEOUTS);
	memx_session_lost(dev, ktime_get_ns(), "a request timed out");
	/* The end of its session takes the page out of the transport's hands. */
	if (direct)
		return false;
	memx_request_end(dev, rq, BLK_STS_IOERR);
	return true;
}

/*
 * Send again what is lost: @timed_out, also what its timeout is over for; else
 * only what has been overtaken. Return how long the next timeout is off.
 */
static u64 memx_requests_scan(struct memx_device *dev, bool timed_out)
{
	struct memx_rtt rtt = memx_rtt_read(dev);
	u64 now = ktime_get_ns(), next = U64_MAX;
	u64 oldest_sent = U64_MAX, oldest_started = U64_MAX;
	struct memx_session *session;
	struct memx_burst burst;
	unsigned int tag;

	memx_burst_init(&burst);
	rcu_read_lock();
	session = rcu_dereference(dev->session);
	if (!session)
		goto out;
	for_each_set_bit(tag, dev->outstanding, dev->queue_depth) {
		struct memx_cmd *cmd = &dev->cmds[tag];
		u64 sent = READ_ONCE(cmd->sent_ns);
		u64 due = dev->transport->is_reliable ? 0 :
			sent + memx_rto_ns(&rtt, READ_ONCE(cmd->attempt));

		if (READ_ONCE(cmd->patient)) {
			due = READ_ONCE(cmd->started_ns) +
			      memx_push_patience_ns(dev);
			if (!timed_out)
				continue;
			if (now >= due) {
				spin_lock_bh(&cmd->lock);
				if (cmd->rq && cmd->patient &&
				    cmd->epoch == session->epoch)
					memx_cmd_ask(dev, session, cmd, &burst,
						     now);
				spin_unlock_bh(&cmd->lock);
				due = now + memx_rto_ns(&rtt, 0);
			}
			next = min(next, due - now);
			continue;
		}
		if (!memx_cmd_is_watched(dev, cmd))
			continue;
		if (READ_ONCE(cmd->attempt) >= MEMX_SILENCE_SENDS - 1)
			oldest_started = min(oldest_started,
					     READ_ONCE(cmd->started_ns));
		if ((timed_out && now >= due) ||
		    memx_rtt_overtaken(&rtt, sent)) {
			spin_lock_bh(&cmd->lock);
			if (cmd->rq && cmd->epoch == session->epoch &&
			    READ_ONCE(cmd->sent_ns) == sent) {
				memx_cmd_send_again(dev, session, cmd, &burst,
						    now);
				sent = now;
				due = now + memx_rto_ns(&rtt, cmd->attempt);
			}
			spin_unlock_bh(&cmd->lock);
		}
		oldest_sent = min(oldest_sent, sent);
		next = min(next, due > now ? due - now : 0);
	}
	WRITE_ONCE(dev->oldest_sent_ns, oldest_sent);
	if (timed_out && oldest_started != U64_MAX) {
		u64 since = max(oldest_started, READ_ONCE(dev->last_heard_ns));

		if (now > since &&
		    now - since > max_t(u64, MEMX_SILENCE_MIN_NS,
					MEMX_SILENCE_RTOS *
						memx_rto_ns(&rtt, 0)))
			memx_session_lost(dev, since, "the server is silent");
	}
out:
	rcu_read_unlock();
	memx_burst_send(dev, &burst);
	return next;
}

/**
 * memx_requests_overtaken - look for requests that later ones have overtaken
 * @dev: the device
 *
 * Called for each frame received. The look at the oldest request's time makes
 * it cheap while nothing is lost; and one CPU looking is enough.
 */
void memx_requests_overtaken(struct memx_device *dev)
{
	struct memx_rtt rtt = memx_rtt_read(dev);

	if (dev->transport->is_reliable ||
	    !memx_rtt_overtaken(&rtt, READ_ONCE(dev->oldest_sent_ns)) ||
	    test_and_set_bit_lock(0, &dev->scanning))
		return;
	memx_requests_scan(dev, false);
	clear_bit_unlock(0, &dev->scanning);
}

static void memx_requests_timer(struct timer_list *timer)
{
	struct memx_device *dev = memx_timer_owner(dev, timer, timer);
	u64 next = memx_requests_scan(dev, true);

	/*
	 * Only ever earlier: a request that started while we looked may have
	 * set the timer already. Without a session nothing is to be done; the
	 * next session's requests set the timer.
	 */
	if (next != U64_MAX)
		memx_timer_within(dev, next);
}

static blk_status_t memx_status_to_block(u8 status)
{
	switch (status) {
	case RMAP_OK:
		return BLK_STS_OK;
	case RMAP_NO_SPACE:
		return BLK_STS_NOSPC;
	default:
		return BLK_STS_IOERR;
	}
}

/**
 * memx_page_piece - what a message carries of a page
 * @hdr: the message: the reply to READ, or PUSH
 * @at: where in the page it begins
 *
 * Return: 0, or -EINVAL for what no server may send.
 */
int memx_page_piece(const struct rmap_hdr *hdr, unsigned int *at)
{
	unsigned int length = le16_to_cpu(hdr->length), i;

	*at = 0;
	switch (hdr->fragments) {
	case RMAP_ALL_FRAGMENTS:
		return !length || length == RMAP_PAGE_BYTES ? 0 : -EINVAL;
	case 1:
	case 2:
	case 4:
		i = hdr->fragments >> 1;
		*at = i * RMAP_FRAGMENT_BYTES;
		return length == memx_fragment_bytes(i) ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

/*
 * The payload of a READ reply goes into the page, unless it is there already.
 * Under the command's lock. Return 0; -EBADMSG after a wrong checksum, -EINVAL
 * for what no server may send, -EALREADY for what is not missing.
 */
static int memx_read_fragment(struct memx_device *dev, struct memx_cmd *cmd,
			      const struct rmap_hdr *hdr, struct sk_buff *skb,
			      unsigned int offset)
{
	unsigned int length = le16_to_cpu(hdr->length), at, i;

	if (memx_page_piece(hdr, &at))
		return -EINVAL;
	if (!length) {
		/* All zeros; its checksum has been looked at already. */
		for (i = 0; i < RMAP_FRAGMENTS; i++)
			if (cmd->missing & (1 << i))
				memx_payload_zero(cmd->rq,
						  i * RMAP_FRAGMENT_BYTES,
						  memx_fragment_bytes(i));
		memx_count(dev, MEMX_ZERO_PAGES);
		cmd->missing = 0;
		return 0;
	}
	/* What is there already is never written to again. */
	if ((cmd->missing & hdr->fragments) != hdr->fragments)
		return -EALREADY;
	/*
	 * The one copy of the page. Only what lies in its place for good is
	 * summed; if that is wrong, the fragment is still missing, and nobody
	 * looks at the page before none is.
	 */
	if (memx_payload_receive(cmd->rq, at, length, skb, offset) ||
	    memx_header_sum(hdr, memx_payload_sum(cmd->rq, at, length)) !=
		    le64_to_cpu(hdr->checksum))
		return -EBADMSG;
	cmd->missing &= ~hdr->fragments;
	return 0;
}

/**
 * memx_request_reply - take a reply to READ, WRITE, DISCARD or FLUSH
 * @dev: the device
 * @session: its session, which the reply names
 * @hdr: the reply; its checksum verified unless it is a READ's with payload
 * @skb: the frame
 * @offset: where the payload begins
 *
 * Return: false after a wrong checksum, when the frame can be trusted no more.
 */
bool memx_request_reply(struct memx_device *dev, struct memx_session *session,
			const struct rmap_hdr *hdr, struct sk_buff *skb,
			unsigned int offset)
{
	unsigned int tag = le16_to_cpu(hdr->tag);
	unsigned int length = le16_to_cpu(hdr->length);
	u8 opcode = hdr->opcode & ~RMAP_REPLY;
	struct request *rq = NULL;
	struct memx_cmd *cmd;
	blk_status_t status = memx_status_to_block(hdr->status);
	bool lost = false;
	int ret = -EINVAL;

	if (tag >= dev->queue_depth)
		goto refuse;
	cmd = &dev->cmds[tag];

	spin_lock_bh(&cmd->lock);
	if (!cmd->rq || cmd->epoch != session->epoch ||
	    cmd->generation != le32_to_cpu(hdr->generation) ||
	    cmd->opcode != opcode || cmd->slot != le64_to_cpu(hdr->slot)) {
		ret = -EALREADY;
	} else if (hdr->status != RMAP_OK || opcode != RMAP_READ) {
		ret = length ? -EINVAL : 0;
	} else {
		ret = memx_read_fragment(dev, cmd, hdr, skb, offset);
	}
	if (!ret && (hdr->status != RMAP_OK || !cmd->missing)) {
		u64 now = ktime_get_ns();
		u64 sent = memx_rtt_sent_ns(hdr->attempt, cmd->attempt,
					    cmd->first_sent_ns,
					    READ_ONCE(cmd->sent_ns));

		if (sent && now >= sent && spin_trylock(&dev->rtt_lock)) {
			/* Whoever comes second has no need to wait. */
			memx_rtt_sample(&dev->rtt, sent, now);
			spin_unlock(&dev->rtt_lock);
		}
		rq = memx_cmd_take_out(dev, cmd, status);
		lost = opcode == RMAP_READ && hdr->status == RMAP_LOST;
	}
	spin_unlock_bh(&cmd->lock);

	if (rq) {
		if (status == BLK_STS_OK && opcode == RMAP_READ &&
		    memx_postcopy_is_on(dev)) {
			memx_count(dev, MEMX_FETCHED_PAGES);
			memx_slot_fetched(dev, le64_to_cpu(hdr->slot), rq);
			memx_push_announce(dev, hdr);
		}
		if (lost)
			memx_count(dev, MEMX_LOST_PAGES);
		else if (status != BLK_STS_OK)
			pr_warn_ratelimited("memx%d: request for slot %llu refused with status %u\n",
					    dev->id, le64_to_cpu(hdr->slot),
					    hdr->status);
		memx_request_end(dev, rq, status);
	}
	if (!ret)
		return true;
refuse:
	if (ret == -EBADMSG ||
	    (length && opcode == RMAP_READ &&
	     !memx_sum_matches(hdr, skb, offset))) {
		memx_count(dev, MEMX_BAD_CHECKSUM);
		return false;
	}
	memx_count(dev, ret == -EALREADY ? MEMX_LATE_REPLIES : MEMX_BAD_FRAMES);
	return true;
}

/**
 * memx_requests_create - the tags
 * @dev: the device, its queue depth known
 *
 * Return: 0 or -ENOMEM.
 */
int memx_requests_create(struct memx_device *dev)
{
	unsigned int i;

	dev->cmds = kvcalloc(dev->queue_depth, sizeof(*dev->cmds), GFP_KERNEL);
	if (!dev->cmds)
		return -ENOMEM;
	for (i = 0; i < dev->queue_depth; i++) {
		spin_lock_init(&dev->cmds[i].lock);
		dev->cmds[i].tag = i;
	}
	dev->oldest_sent_ns = U64_MAX;
	timer_setup(&dev->timer, memx_requests_timer, 0);
	return 0;
}

/**
 * memx_requests_destroy - the tags go
 * @dev: the device; no request is outstanding and no frame comes any more
 */
void memx_requests_destroy(struct memx_device *dev)
{
	if (!dev->cmds)
		return;
	timer_delete_sync(&dev->timer);
	kvfree(dev->cmds);
	dev->cmds = NULL;
}
