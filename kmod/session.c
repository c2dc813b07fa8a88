// SPDX-License-Identifier: GPL-2.0
/*
 * Opening, keeping and re-opening a session.
 *
 *                 answer to ATTACH
 *	ATTACHING ------------------> LIVE <----------------+
 *	                              |  ^                  |
 *	    silence, BAD_SESSION,     |  | answer           | answer
 *	    link down, request timed  v  | to ATTACH        | to ATTACH
 *	    out                  RECONNECTING ---------> FAILED
 *	                                      timeout_s
 *	any of them -- detach --> DETACHING
 *
 * A device that keeps its pages here is IDLE instead of ATTACHING. A migration
 * makes it RECONNECTING, with a server of its own, and IDLE again at its end.
 *
 * One work item a device does all that waits. It must get on while memory is
 * short, as memory may be waiting for the session: it runs on a workqueue of
 * its own that has a rescuer, allocates nothing but frames (which may come from
 * the reserves, and whose lack is only one more loss), and starts no I/O.
 */
#include <linux/export.h>
#include <linux/ktime.h>
#include <linux/random.h>
#include <linux/sched/mm.h>

#include "memx.h"

/* How long to wait for the answer to an ATTACH: at first, and at most. */
#define MEMX_ATTACH_WAIT (HZ / 4)
#define MEMX_ATTACH_WAIT_MAX HZ
/* ... and over a connection, which loses none. */
#define MEMX_ATTACH_WAIT_CONNECTED (3 * HZ)
/*
 * How often to look at a link that is down: in the first second, and later. Its
 * notifier tells of a carrier up to a second late (net/core/link_watch.c), and
 * after a migration the guest's first fault waits for it.
 */
#define MEMX_LINK_LOOK_FIRST (HZ / 50)
#define MEMX_LINK_LOOK (HZ / 4)
/* How long attaching takes when timeout_s is no less. */
#define MEMX_ATTACH_LIMIT_S 10
/* How often a failed device looks for its server. */
#define MEMX_FAILED_INTERVAL HZ
/* So long may keep-alives go unanswered. */
#define MEMX_KEEPALIVE_LIMIT_NS (3 * NSEC_PER_SEC)
/* A server may not ask for more keep-alives than are any use. */
#define MEMX_MIN_SESSION_TIMEOUT_MS 300
#define MEMX_DETACH_TRIES 3

/* Names exchanges on all devices, so that an answer finds its device. */
static atomic_t memx_generation;

/**
 * memx_state_name - a state's name, as sysfs shows it
 * @state: the state
 *
 * Return: the name.
 */
const char *memx_state_name(enum memx_state state)
{
	switch (state) {
	case MEMX_LIVE:
		return "live";
	case MEMX_ATTACHING:
	case MEMX_RECONNECTING:
		return "reconnecting";
	case MEMX_FAILED:
		return "failed";
	case MEMX_IDLE:
		return "idle";
	case MEMX_DETACHING:
		break;
	}
	return "detaching";
}

static u64 memx_next_attach_id(void)
{
	static DEFINE_SPINLOCK(lock);
	static u64 last;
	u64 id;

	spin_lock(&lock);
	/* The clock may be set back. */
	id = max_t(u64, ktime_get_real_ns(), last + 1);
	last = id;
	spin_unlock(&lock);
	return id;
}

/**
 * memx_session_kick - let the work run now
 * @dev: the device
 */
void memx_session_kick(struct memx_device *dev)
{
	spin_lock_bh(&dev->state_lock);
	if (dev->state != MEMX_ATTACHING && dev->state != MEMX_IDLE &&
	    dev->state != MEMX_DETACHING)
		mod_delayed_work(dev->workqueue, &dev->work, 0);
	spin_unlock_bh(&dev->state_lock);
}
EXPORT_SYMBOL_GPL(memx_session_kick);

/* Under state_lock. The other structure serves the next session. */
static void memx_session_unpublish(struct memx_device *dev)
{
	struct memx_session *session;

	session = rcu_dereference_protected(dev->session,
					    lockdep_is_held(&dev->state_lock));
	if (!session)
		return;
	RCU_INIT_POINTER(dev->session, NULL);
	session->retired = get_state_synchronize_rcu();
}

/**
 * memx_session_lost - the session is over; open another one
 * @dev: the device
 * @since_ns: when the server was last known to be there
 * @why: for the log
 *
 * Does nothing when that is known already. Any context but hard interrupts.
 */
void memx_session_lost(struct memx_device *dev, u64 since_ns, const char *why)
{
	bool was_live;

	spin_lock_bh(&dev->state_lock);
	was_live = dev->state == MEMX_LIVE;
	memx_session_unpublish(dev);
	if (was_live) {
		WRITE_ONCE(dev->state, MEMX_RECONNECTING);
		dev->unanswered_ns = since_ns;
		mod_delayed_work(dev->workqueue, &dev->work, 0);
	}
	spin_unlock_bh(&dev->state_lock);
	if (!was_live)
		return;
	wake_up(&dev->wait);
	pr_warn_ratelimited("memx%d: session lost: %s\n", dev->id, why);
}
EXPORT_SYMBOL_GPL(memx_session_lost);

/**
 * memx_session_credits - the server says how much may be outstanding
 * @dev: the device
 * @credits: from its reply
 */
void memx_session_credits(struct memx_device *dev, unsigned int credits)
{
	unsigned int before = READ_ONCE(dev->credits);

	credits = clamp(credits, 1U, dev->queue_depth);
	if (credits == before)
		return;
	WRITE_ONCE(dev->credits, credits);
	/* More credits come without a request's end that runs the queue. */
	if (credits > before && dev->disk &&
	    test_and_clear_bit(0, &dev->starved))
		blk_mq_run_hw_queues(dev->disk->queue, true);
}

static struct rmap_hdr memx_session_header(u8 opcode, u32 session,
					   u32 generation)
{
	struct rmap_hdr hdr = {
		.version = RMAP_VERSION,
		.opcode = opcode,
		.session = cpu_to_le32(session),
		.tag = cpu_to_le16(RMAP_NO_TAG),
		.generation = cpu_to_le32(generation),
	};

	return hdr;
}

static void memx_session_say(struct memx_device *dev, u8 opcode,
			     u32 generation)
{
	struct memx_session *session;
	struct memx_burst burst;

	memx_burst_init(&burst);
	rcu_read_lock();
	session = rcu_dereference(dev->session);
	if (session) {
		struct rmap_hdr hdr = memx_session_header(opcode, session->id,
							  generation);

		memx_burst_add(dev, session, &burst, &hdr, NULL, 0);
	}
	rcu_read_unlock();
	memx_burst_send(dev, &burst);
}

static void memx_exchange_begin(struct memx_device *dev, u8 opcode,
				u64 attach_id)
{
	struct memx_exchange *exchange = &dev->exchange;

	spin_lock_bh(&exchange->lock);
	exchange->done = false;
	exchange->generation = atomic_inc_return(&memx_generation);
	exchange->attach_id = attach_id;
	WRITE_ONCE(exchange->opcode, opcode);
	spin_unlock_bh(&exchange->lock);
}

static void memx_exchange_end(struct memx_device *dev)
{
	spin_lock_bh(&dev->exchange.lock);
	WRITE_ONCE(dev->exchange.opcode, 0);
	spin_unlock_bh(&dev->exchange.lock);
}

/* Return 0 when the answer is what waits, -EALREADY or -EINVAL. */
static int memx_exchange_answer(struct memx_device *dev, const u8 *from,
				const struct rmap_hdr *hdr, u8 opcode,
				struct sk_buff *skb, unsigned int offset)
{
	struct memx_exchange *exchange = &dev->exchange;
	unsigned int length = le16_to_cpu(hdr->length);
	struct rmap_attached attached = {};
	int ret = -EALREADY;

	spin_lock_bh(&exchange->lock);
	if (exchange->opcode != opcode || exchange->done ||
	    exchange->generation != le32_to_cpu(hdr->generation))
		goto out;
	if (from && !is_broadcast_ether_addr(dev->server) &&
	    !ether_addr_equal(dev->server, from))
		goto out;
	if (opcode == RMAP_ATTACH && hdr->status == RMAP_OK) {
		ret = -EINVAL;
		if (length != RMAP_ATTACHED_BYTES || !hdr->session ||
		    (from && !is_valid_ether_addr(from)) ||
		    skb_copy_bits(skb, offset, &attached, sizeof(attached)))
			goto out;
		ret = -EALREADY;
		if (le64_to_cpu(attached.attach_id) != exchange->attach_id)
			goto out;
	}
	exchange->status = hdr->status;
	exchange->session = le32_to_cpu(hdr->session);
	exchange->attached = attached;
	if (from)
		ether_addr_copy(exchange->server, from);
	exchange->done = true;
	ret = 0;
out:
	spin_unlock_bh(&exchange->lock);
	return ret;
}

static int memx_status_answer(struct memx_device *dev,
			      const struct rmap_hdr *hdr, struct sk_buff *skb,
			      unsigned int offset)
{
	struct rmap_region_status status;

	if (hdr->status != RMAP_OK)
		return 0;
	if (le16_to_cpu(hdr->length) != RMAP_REGION_STATUS_BYTES ||
	    skb_copy_bits(skb, offset, &status, sizeof(status)))
		return -EINVAL;
	WRITE_ONCE(dev->stored_pages, le64_to_cpu(status.stored));
	WRITE_ONCE(dev->quota_pages, le64_to_cpu(status.quota));
	WRITE_ONCE(dev->status_seen, dev->status_seen + 1);
	return 0;
}

/**
 * memx_session_answer - take a reply that belongs to no request
 * @dev: the device; the reply names its session, or an exchange of its
 * @from: the Ethernet address that it comes from, NULL over a connection
 * @hdr: the reply; its checksum verified if its version is ours
 * @skb: the frame
 * @offset: where the payload begins
 */
void memx_session_answer(struct memx_device *dev, const u8 *from,
			 const struct rmap_hdr *hdr, struct sk_buff *skb,
			 unsigned int offset)
{
	bool in_session = true;
	int ret = 0;

	switch (hdr->opcode & ~RMAP_REPLY) {
	case RMAP_ATTACH:
		in_session = false;
		ret = memx_exchange_answer(dev, from, hdr, RMAP_ATTACH, skb,
					   offset);
		break;
	case RMAP_DETACH:
		ret = memx_exchange_answer(dev, from, hdr, RMAP_DETACH, skb,
					   offset);
		break;
	case RMAP_STATUS:
		ret = memx_status_answer(dev, hdr, skb, offset);
		break;
	case RMAP_ERROR & ~RMAP_REPLY:
		in_session = false;
		if (hdr->session && hdr->status == RMAP_BAD_SESSION)
			memx_session_lost(dev, ktime_get_ns(),
					  "the server does not know it");
		else if (hdr->status != RMAP_OK)
			ret = memx_exchange_answer(dev, from, hdr, RMAP_ATTACH,
						   skb, offset);
		break;
	}
	if (ret == -EALREADY) {
		memx_count(dev, MEMX_LATE_REPLIES);
		return;
	}
	if (ret) {
		memx_count(dev, MEMX_BAD_FRAMES);
		return;
	}
	if (in_session) {
		WRITE_ONCE(dev->last_heard_ns, ktime_get_ns());
		memx_session_credits(dev, le16_to_cpu(hdr->credits));
	}
	wake_up(&dev->wait);
}

static int memx_status_to_errno(u8 status)
{
	switch (status) {
	case RMAP_BAD_VERSION:
		return -EPROTONOSUPPORT;
	case RMAP_NO_REGION:
		return -ENOENT;
	case RMAP_DENIED:
		return -EACCES;
	case RMAP_BUSY:
		return -EBUSY;
	case RMAP_TOO_LARGE:
		return -EFBIG;
	case RMAP_TOO_MANY:
		return -EUSERS;
	case RMAP_NO_SPACE:
		return -ENOSPC;
	case RMAP_LOST:
		return -ENODATA;
	default:
		return -EPROTO;
	}
}

/* Tags that the disk does not have. */
static unsigned int memx_session_own_tags(const struct memx_device *dev)
{
	return dev->params.pseudo + dev->transport->own_tags;
}

/*
 * Publish the session that the server has opened, if it is one that the device
 * can live with. One that grants fewer tags or slots than the disk has is not:
 * requests with tags behind the queue depth cannot be sent, and blk-mq cannot
 * take tags back that it has given out.
 */
static int memx_session_adopt(struct memx_device *dev, unsigned int mtu_asked)
{
	const struct rmap_attached *attached = &dev->exchange.attached;
	unsigned int depth = le16_to_cpu(attached->queue_depth);
	unsigned int mtu = le16_to_cpu(attached->mtu);
	u64 slots = le64_to_cpu(attached->slots);
	struct memx_session *session;
	bool first = !dev->disk;
	u64 now = ktime_get_ns();
	int ret = 0;

	/* The last tag is that of what the server is told of a post-copy. */
	depth -= min(depth, memx_session_own_tags(dev));
	if (mtu < RMAP_MIN_MTU || mtu > mtu_asked || !depth ||
	    depth > (first ? dev->params.queue_depth : dev->queue_depth) ||
	    !slots || slots > RMAP_MAX_SLOTS ||
	    (first && dev->params.slots && slots != dev->params.slots) ||
	    le32_to_cpu(attached->session_timeout_ms) <
		    MEMX_MIN_SESSION_TIMEOUT_MS) {
		pr_warn_ratelimited("memx%d: the server grants %llu slots, %u requests, MTU %u, which makes no sense\n",
				    dev->id, slots, depth, mtu);
		return -EPROTO;
	}
	if (!first && (depth < dev->queue_depth || slots < dev->slots)) {
		pr_warn_ratelimited("memx%d: the server now grants %llu slots and %u requests where it granted %llu and %u; allow as many again or detach\n",
				    dev->id, slots, depth, dev->slots,
				    dev->queue_depth);
		return -EPROTO;
	}

	session = &dev->sessions[(dev->epoch + 1) % 2];
	/* Retired two sessions ago, so this hardly ever waits. */
	cond_synchronize_rcu(session->retired);

	spin_lock_bh(&dev->state_lock);
	if (dev->state == MEMX_DETACHING || dev->state == MEMX_IDLE)
		ret = -ESHUTDOWN;
	else
		ret = dev->transport->adopt(dev, session);
	if (!ret) {
		session->id = dev->exchange.session;
		session->epoch = ++dev->epoch;
		session->mtu = mtu;
		dev->mtu = mtu;
		if (first) {
			dev->queue_depth = depth;
			dev->slots = slots;
		}
		dev->incarnation = le64_to_cpu(attached->incarnation);
		dev->session_timeout_ms =
			le32_to_cpu(attached->session_timeout_ms);
		dev->keepalive_ns = 0;
		WRITE_ONCE(dev->credits, dev->queue_depth);
		WRITE_ONCE(dev->last_heard_ns, now);
		WRITE_ONCE(dev->last_said_ns, now);
		if (!first)
			WRITE_ONCE(dev->state, MEMX_LIVE);
		rcu_assign_pointer(dev->session, session);
	}
	spin_unlock_bh(&dev->state_lock);
	if (!ret && !first &&
	    (le32_to_cpu(attached->flags) & RMAP_ATTACHED_LOST)) {
		pr_warn("memx%d: the server has lost the pages written before; reading one of them fails\n",
			dev->id);
		memx_postcopy_lost(dev);
	}
	return ret;
}

/*
 * One attempt. Of three in a row, two ask for the MTU wanted and one for that
 * which every path carries; a reliable transport knows what it carries. Return 0 with a session, -ETIMEDOUT without an
 * answer, -EINTR, or why not.
 */
static int memx_session_try(struct memx_device *dev, bool interruptible)
{
	struct memx_tries *tries = &dev->tries;
	unsigned int step = dev->transport->is_reliable ? 0 : tries->count % 3;
	struct rmap_attach attach = {};
	struct rmap_hdr hdr;
	bool first = !dev->disk;
	long wait;
	int ret;

	if (dev->transport->connect) {
		ret = dev->transport->connect(dev, interruptible);
		if (ret)
			return ret;
	}
	/* The second is the first again, so either's answer will do. */
	if (step != 1) {
		unsigned int mtu = min3(dev->transport->mtu(dev),
					(unsigned int)RMAP_MAX_MTU,
					dev->params.mtu ?: RMAP_MAX_MTU);

		if (step == 2)
			mtu = min_t(unsigned int, mtu, MEMX_SAFE_MTU);
		if (mtu < RMAP_MIN_MTU)
			return -ENETDOWN;
		tries->mtu = mtu;
		tries->attach_id = memx_next_attach_id();
		memx_exchange_begin(dev, RMAP_ATTACH, tries->attach_id);
	}
	wait = min_t(long, MEMX_ATTACH_WAIT << min(tries->count / 3, 4U),
		     MEMX_ATTACH_WAIT_MAX);
	if (dev->transport->is_reliable)
		wait = MEMX_ATTACH_WAIT_CONNECTED;
	tries->count++;

	hdr = memx_session_header(RMAP_ATTACH, 0, dev->exchange.generation);
	hdr.length = cpu_to_le16(RMAP_ATTACH_BYTES);
	hdr.attempt = step == 1;
	memcpy(attach.region, dev->region, sizeof(attach.region));
	memcpy(attach.token, dev->token, sizeof(attach.token));
	attach.slots = cpu_to_le64(first ? dev->params.slots : dev->slots);
	attach.attach_id = cpu_to_le64(tries->attach_id);
	attach.incarnation = cpu_to_le64(dev->incarnation);
	attach.mtu = cpu_to_le16(tries->mtu);
	attach.queue_depth = cpu_to_le16(
		(first ? dev->params.queue_depth : dev->queue_depth) +
		memx_session_own_tags(dev));
	/* Without memory for the frame, it is as if it had been lost. */
	ret = dev->transport->send_attach(dev, &hdr, &attach, tries->mtu);
	if (ret && ret != -ENOMEM)
		return ret;

	if (interruptible)
		wait = wait_event_interruptible_timeout(dev->wait,
				READ_ONCE(dev->exchange.done) ||
				READ_ONCE(dev->state) == MEMX_DETACHING, wait);
	else
		wait = wait_event_timeout(dev->wait,
				READ_ONCE(dev->exchange.done) ||
				READ_ONCE(dev->state) == MEMX_DETACHING, wait);
	if (wait < 0)
		return -EINTR;

	spin_lock_bh(&dev->exchange.lock);
	ret = dev->exchange.done ? 0 : -ETIMEDOUT;
	spin_unlock_bh(&dev->exchange.lock);
	if (ret) {
		/* A server that does not answer needs another connection. */
		if (dev->transport->disconnect)
			dev->transport->disconnect(dev);
		return ret;
	}
	memx_exchange_end(dev);
	tries->count = 0;
	if (dev->exchange.status == RMAP_LOST)
		memx_postcopy_lost(dev);
	if (dev->exchange.status != RMAP_OK)
		return memx_status_to_errno(dev->exchange.status);
	/*
	 * A server that comes back may happen to do so at the short attempt.
	 * Before a path that has carried long frames is taken for one that
	 * does not, they get a chance with a server that is known to be there.
	 */
	if (step == 2 && tries->mtu < dev->mtu && !tries->doubted) {
		tries->doubted = true;
		return -ETIMEDOUT;
	}
	tries->doubted = false;
	ret = memx_session_adopt(dev, tries->mtu);
	if (!ret && dev->transport->opened)
		dev->transport->opened(dev);
	return ret;
}

/**
 * memx_session_open - open the first session
 * @dev: the device, on its link, not seen by anybody yet
 *
 * Return: 0; -EINTR on a signal; -ETIMEDOUT when no server answers; or why the
 * server refuses.
 */
int memx_session_open(struct memx_device *dev)
{
	unsigned int limit_s = min_t(unsigned int, dev->timeout_s,
				     MEMX_ATTACH_LIMIT_S);
	unsigned long end = jiffies + limit_s * HZ;
	int ret;

	do {
		ret = memx_session_try(dev, true);
	} while (ret == -ETIMEDOUT && time_before(jiffies, end));
	memx_exchange_end(dev);
	return ret;
}

/**
 * memx_session_begin - the device is ready for requests
 * @dev: the device, with its first session, which may be over already; or
 *	with none when its pages are kept here
 */
void memx_session_begin(struct memx_device *dev)
{
	spin_lock_bh(&dev->state_lock);
	if (memx_is_local(dev)) {
		WRITE_ONCE(dev->credits, dev->queue_depth);
		WRITE_ONCE(dev->state, MEMX_IDLE);
		spin_unlock_bh(&dev->state_lock);
		return;
	}
	if (rcu_access_pointer(dev->session)) {
		WRITE_ONCE(dev->state, MEMX_LIVE);
	} else {
		WRITE_ONCE(dev->state, MEMX_RECONNECTING);
		dev->unanswered_ns = ktime_get_ns();
	}
	queue_delayed_work(dev->workqueue, &dev->work, 0);
	spin_unlock_bh(&dev->state_lock);
}

/* No answer for timeout_s: requests fail from now on. */
static void memx_session_fail(struct memx_device *dev)
{
	bool failed = false;

	spin_lock_bh(&dev->state_lock);
	if (dev->state == MEMX_RECONNECTING) {
		WRITE_ONCE(dev->state, MEMX_FAILED);
		failed = true;
	}
	spin_unlock_bh(&dev->state_lock);
	if (!failed)
		return;
	pr_err("memx%d: no session for %u s: requests fail until there is one\n",
	       dev->id, dev->timeout_s);
	memx_requests_fail(dev);
}

/* Without a session: one attempt to get one. Return when to come again. */
static unsigned long memx_session_reopen(struct memx_device *dev)
{
	u64 limit = (u64)READ_ONCE(dev->timeout_s) * NSEC_PER_SEC;
	u64 waited = ktime_get_ns() - READ_ONCE(dev->unanswered_ns);
	enum memx_state before;
	int ret;

	if (waited >= limit)
		memx_session_fail(dev);
	before = READ_ONCE(dev->state);

	if (!dev->transport->is_usable(dev)) {
		dev->tries.count = 0;
		if (!dev->transport->join(dev, false))
			return 1;
		return waited < NSEC_PER_SEC ? MEMX_LINK_LOOK_FIRST :
					       MEMX_LINK_LOOK;
	}

	ret = memx_session_try(dev, false);
	if (!ret) {
		pr_info("memx%d: session 0x%08x open\n", dev->id,
			dev->exchange.session);
		memx_count(dev, MEMX_RECONNECTS);
		memx_requests_resend(dev);
		blk_mq_run_hw_queues(dev->disk->queue, true);
		return 1;
	}
	if (ret == -ENODATA)
		pr_warn_ratelimited("memx%d: cannot attach again: the server no longer has the pages written before\n",
				    dev->id);
	else if (ret != -ETIMEDOUT)
		pr_warn_ratelimited("memx%d: cannot attach again: %pe\n",
				    dev->id, ERR_PTR(ret));
	if (before == MEMX_FAILED)
		return MEMX_FAILED_INTERVAL;
	return ret == -ETIMEDOUT ? 0 : HZ / 2;
}

/* With a session: keep it. Return when to come again. */
static unsigned long memx_session_keep(struct memx_device *dev)
{
	u64 third = (u64)dev->session_timeout_ms * NSEC_PER_MSEC / 3;
	u64 heard = READ_ONCE(dev->last_heard_ns);
	u64 said = READ_ONCE(dev->last_said_ns);
	u64 now = ktime_get_ns(), since = dev->keepalive_ns;

	if (since && heard > since) {
		since = 0;
		dev->keepalive_ns = 0;
	}
	if (since && now - since > MEMX_KEEPALIVE_LIMIT_NS) {
		memx_session_lost(dev, since, "keep-alives go unanswered");
		return 0;
	}
	if (since || now - said >= third) {
		if (!since)
			dev->keepalive_ns = now;
		memx_session_say(dev, RMAP_KEEPALIVE,
				 atomic_inc_return(&memx_generation));
		memx_session_say(dev, RMAP_STATUS,
				 atomic_inc_return(&memx_generation));
		WRITE_ONCE(dev->status_asked, jiffies);
		/* Again at once, in case it gets lost. */
		return min_t(unsigned long, HZ / 2, nsecs_to_jiffies(third) + 1);
	}
	return nsecs_to_jiffies(said + third - now) + 1;
}

static void memx_session_work(struct work_struct *work)
{
	struct memx_device *dev = container_of(to_delayed_work(work),
					       struct memx_device, work);
	unsigned int noio = memalloc_noio_save();
	unsigned long delay = 0;

	switch (READ_ONCE(dev->state)) {
	case MEMX_LIVE:
		delay = min(memx_session_keep(dev), memx_postcopy_work(dev));
		break;
	case MEMX_FAILED:
		memx_postcopy_give_up(dev);
		fallthrough;
	case MEMX_RECONNECTING:
		delay = memx_session_reopen(dev);
		break;
	case MEMX_ATTACHING:
	case MEMX_IDLE:
	case MEMX_DETACHING:
		break;
	}
	spin_lock_bh(&dev->state_lock);
	/* Unless somebody has asked for it sooner. */
	if (dev->state != MEMX_DETACHING && dev->state != MEMX_IDLE)
		queue_delayed_work(dev->workqueue, &dev->work, delay);
	spin_unlock_bh(&dev->state_lock);
	memalloc_noio_restore(noio);
}

/**
 * memx_session_ask_status - learn how many pages the server stores
 * @dev: the device
 *
 * Asks once a second at most, and waits a moment for the answer.
 */
void memx_session_ask_status(struct memx_device *dev)
{
	unsigned int seen;

	if (mutex_lock_interruptible(&dev->status_lock))
		return;
	if (READ_ONCE(dev->state) == MEMX_LIVE &&
	    (!READ_ONCE(dev->status_asked) ||
	     time_after_eq(jiffies, READ_ONCE(dev->status_asked) + HZ))) {
		seen = READ_ONCE(dev->status_seen);
		WRITE_ONCE(dev->status_asked, jiffies);
		memx_session_say(dev, RMAP_STATUS,
				 atomic_inc_return(&memx_generation));
		wait_event_interruptible_timeout(dev->wait,
			READ_ONCE(dev->status_seen) != seen, HZ / 10);
	}
	mutex_unlock(&dev->status_lock);
}

/**
 * memx_session_stop - no session is opened or kept any more
 * @dev: the device, in MEMX_DETACHING or MEMX_IDLE
 */
void memx_session_stop(struct memx_device *dev)
{
	wake_up(&dev->wait);
	cancel_delayed_work_sync(&dev->work);
}

/**
 * memx_session_close - tell the server that the session is over
 * @dev: the device, stopped
 *
 * If the server does not hear of it, its timeout tells it.
 */
void memx_session_close(struct memx_device *dev)
{
	unsigned int i;

	memx_exchange_begin(dev, RMAP_DETACH, 0);
	for (i = 0; i < MEMX_DETACH_TRIES; i++) {
		if (!rcu_access_pointer(dev->session))
			break;
		memx_session_say(dev, RMAP_DETACH, dev->exchange.generation);
		if (wait_event_timeout(dev->wait,
				       READ_ONCE(dev->exchange.done), HZ / 10))
			break;
	}
	memx_exchange_end(dev);
	spin_lock_bh(&dev->state_lock);
	memx_session_unpublish(dev);
	spin_unlock_bh(&dev->state_lock);
	if (dev->transport->disconnect)
		dev->transport->disconnect(dev);
}

/**
 * memx_session_start - look for the server of a migration
 * @dev: the device, in MEMX_IDLE
 * @migration: which region of the server that its transport was aimed at
 */
void memx_session_start(struct memx_device *dev,
			const struct memx_migration *migration)
{
	spin_lock_bh(&dev->state_lock);
	if (dev->state == MEMX_IDLE) {
		memcpy(dev->region, migration->region, sizeof(dev->region));
		memcpy(dev->token, migration->token, sizeof(dev->token));
		dev->incarnation = migration->incarnation;
		dev->tries = (struct memx_tries) {};
		dev->unanswered_ns = ktime_get_ns();
		WRITE_ONCE(dev->state, MEMX_RECONNECTING);
		mod_delayed_work(dev->workqueue, &dev->work, 0);
	}
	spin_unlock_bh(&dev->state_lock);
}

/**
 * memx_session_finish - the end of memx_session_start()
 * @dev: the device; nothing is outstanding
 */
void memx_session_finish(struct memx_device *dev)
{
	bool detaching;

	spin_lock_bh(&dev->state_lock);
	detaching = dev->state == MEMX_DETACHING;
	if (!detaching)
		WRITE_ONCE(dev->state, MEMX_IDLE);
	spin_unlock_bh(&dev->state_lock);
	/* Who detaches the device does the rest himself. */
	if (detaching)
		return;
	memx_session_stop(dev);
	memx_session_close(dev);
}

/**
 * memx_session_init - prepare
 * @dev: the device, all zero
 */
void memx_session_init(struct memx_device *dev)
{
	spin_lock_init(&dev->state_lock);
	spin_lock_init(&dev->rtt_lock);
	spin_lock_init(&dev->exchange.lock);
	mutex_init(&dev->status_lock);
	init_waitqueue_head(&dev->wait);
	INIT_DELAYED_WORK(&dev->work, memx_session_work);
	dev->sessions[0].retired = get_state_synchronize_rcu();
	dev->sessions[1].retired = dev->sessions[0].retired;
	/* Answers to an earlier load of the module must not fit. */
	if (!atomic_read(&memx_generation))
		atomic_cmpxchg(&memx_generation, 0, get_random_u32());
}
