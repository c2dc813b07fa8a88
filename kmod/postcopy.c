// SPDX-License-Identifier: GPL-2.0
/*
 * A post-copy, from its begin to its end.
 *
 *	IDLE -- begin --> PULLING -- nothing missing --> COMPLETE -- begin -->
 *	  ^                  |
 *	  |                  +-- the server has lost pages --> FAILED
 *	  +------------------------ nothing missing ---------------+
 *
 * While it is PULLING each session that opens is told everything: what is
 * missing, in which order it was last used, and to begin. What the server has
 * been told of one session is nothing to the next; so a broken link or a
 * restarted server costs what was on its way. Pages that something waits for
 * are fetched from the first moment on, told or not, and they still are when
 * it has FAILED: what the server has is had, and for the rest it answers LOST.
 */
#include <linux/ktime.h>

#include "memx.h"

/* How often to look whether all is done: what tells us is a kick. */
#define MEMX_POSTCOPY_LOOK (HZ / 4)

static u64 memx_postcopy_count(struct memx_device *dev, enum memx_stat stat)
{
	return memx_stat_sum(dev, stat) - dev->postcopy.before[stat];
}

/**
 * memx_postcopy_figures - how far a post-copy has come
 * @dev: the device
 * @figures: of the one under way, or of the last
 */
void memx_postcopy_figures(struct memx_device *dev,
			   struct memx_postcopy_figures *figures)
{
	*figures = (struct memx_postcopy_figures) {
		.phase = READ_ONCE(dev->postcopy.phase),
		.missing = memx_slots_missing(dev),
		.pushed = memx_postcopy_count(dev, MEMX_PUSHED_PAGES),
		.fetched = memx_postcopy_count(dev, MEMX_FETCHED_PAGES),
		.network_faults = memx_postcopy_count(dev,
						      MEMX_NETWORK_FAULTS),
		.announced_faults = memx_postcopy_count(dev,
							MEMX_ANNOUNCED_FAULTS),
		.minor_faults = memx_postcopy_count(dev, MEMX_MINOR_FAULTS),
		.unused = memx_slots_unread(dev),
		.longest_wait_us = div_u64(
			atomic64_read(&dev->postcopy.longest_wait_ns),
			NSEC_PER_USEC),
	};
}

/**
 * memx_postcopy_phase_name - a phase's name, as sysfs shows it
 * @phase: the phase
 *
 * Return: the name.
 */
const char *memx_postcopy_phase_name(enum memx_postcopy_phase phase)
{
	switch (phase) {
	case MEMX_POSTCOPY_IDLE:
		break;
	case MEMX_POSTCOPY_PULLING:
		return "postcopy";
	case MEMX_POSTCOPY_COMPLETE:
		return "complete";
	case MEMX_POSTCOPY_FAILED:
		return "failed";
	}
	return "idle";
}

/**
 * memx_postcopy_is_on - are remote slots to be filled?
 * @dev: the device
 *
 * Return: whether a post-copy has begun and is not complete.
 */
bool memx_postcopy_is_on(const struct memx_device *dev)
{
	enum memx_postcopy_phase phase = READ_ONCE(dev->postcopy.phase);

	return phase == MEMX_POSTCOPY_PULLING || phase == MEMX_POSTCOPY_FAILED;
}

/**
 * memx_postcopy_waited - a READ has ended
 * @dev: the device
 * @ns: how long somebody has waited for it
 */
void memx_postcopy_waited(struct memx_device *dev, u64 ns)
{
	atomic64_t *longest = &dev->postcopy.longest_wait_ns;
	s64 before = atomic64_read(longest);

	while (ns > before && !atomic64_try_cmpxchg(longest, &before, ns))
		;
}

/**
 * memx_postcopy_begin - the pages of remote slots are to come
 * @dev: the device, for pseudo-paging
 * @strategy: which page goes next, by name; empty for the server's choice
 * @rate: the most bytes that the server may push in a second, 0 for any number
 *
 * Return: 0; -EINVAL for what cannot be the name of a strategy; -EBUSY while a
 * post-copy is under way.
 */
int memx_postcopy_begin(struct memx_device *dev, const char *strategy, u64 rate)
{
	struct memx_postcopy *postcopy = &dev->postcopy;
	size_t length = strlen(strategy);
	unsigned int i;

	if (length > RMAP_STRATEGY_BYTES)
		return -EINVAL;
	for (i = 0; i < length; i++)
		if (strategy[i] <= ' ' || strategy[i] > '~')
			return -EINVAL;
	if (memx_postcopy_is_on(dev))
		return -EBUSY;
	memset(postcopy->strategy, 0, sizeof(postcopy->strategy));
	memcpy(postcopy->strategy, strategy, length);
	postcopy->rate = rate;
	postcopy->told = 0;
	postcopy->ending = false;
	atomic64_set(&postcopy->longest_wait_ns, 0);
	for (i = 0; i < MEMX_NR_STATS; i++)
		postcopy->before[i] = memx_stat_sum(dev, i);
	memx_slots_count_unread(dev);
	WRITE_ONCE(postcopy->phase, MEMX_POSTCOPY_PULLING);
	memx_session_kick(dev);
	return 0;
}

/**
 * memx_postcopy_lost - what the server has not sent it has no more
 * @dev: the device
 *
 * Its store is another one than that with our pages, or it says that it has
 * pushed all it has.
 */
void memx_postcopy_lost(struct memx_device *dev)
{
	if (dev->postcopy.phase != MEMX_POSTCOPY_PULLING)
		return;
	WRITE_ONCE(dev->postcopy.phase, MEMX_POSTCOPY_FAILED);
	pr_err("memx%d: post-copy failed: the server has lost its pages, and %llu of them had not come; reading one of those fails\n",
	       dev->id, memx_slots_missing(dev));
}

/* Everything, once a session. Return 0, or why to do it again. */
static int memx_postcopy_tell(struct memx_device *dev, u32 epoch)
{
	u64 pages = 0;
	int status = memx_tell_begin(dev, epoch, &pages);

	if (status < 0)
		return status;
	if (status == RMAP_NO_STRATEGY && dev->postcopy.strategy[0]) {
		pr_warn("memx%d: the server knows no strategy %.*s, and chooses one\n",
			dev->id, RMAP_STRATEGY_BYTES, dev->postcopy.strategy);
		memset(dev->postcopy.strategy, 0, RMAP_STRATEGY_BYTES);
		return -EAGAIN;
	}
	dev->postcopy.told = epoch;
	if (status) {
		pr_warn("memx%d: the server refuses post-copy (status %d): pages come when they are needed, none is pushed\n",
			dev->id, status);
		return 0;
	}
	pr_info("memx%d: post-copy: %llu pages are missing, %llu to be pushed\n",
		dev->id, memx_slots_missing(dev), pages);
	if (!pages && memx_slots_missing(dev) && !atomic_read(&dev->inflight))
		memx_postcopy_lost(dev);
	return 0;
}

/* Nothing is missing any more. */
static void memx_postcopy_finish(struct memx_device *dev)
{
	bool failed = dev->postcopy.phase == MEMX_POSTCOPY_FAILED;
	struct memx_postcopy_figures figures;

	memx_push_stop(dev);
	memx_postcopy_figures(dev, &figures);
	if (!failed)
		pr_info("memx%d: post-copy complete: %llu pages pushed, %llu fetched; %llu network faults, %llu minor; longest wait %llu us\n",
			dev->id, figures.pushed, figures.fetched,
			figures.network_faults, figures.minor_faults,
			figures.longest_wait_us);
	WRITE_ONCE(dev->postcopy.phase,
		   failed ? MEMX_POSTCOPY_IDLE : MEMX_POSTCOPY_COMPLETE);
}

/* The same, with a server. Where pages are copied to it, it frees them. */
static int memx_postcopy_end(struct memx_device *dev, u32 epoch)
{
	int status = memx_tell_end(dev, epoch);

	if (status >= 0 && dev->copies)
		status = memx_tell_discard(dev, epoch);
	if (status < 0)
		return status;
	memx_postcopy_finish(dev);
	return 0;
}

/**
 * memx_postcopy_give_up - there has been no server for timeout_s
 * @dev: the device
 *
 * If nothing is missing, none is needed either.
 */
void memx_postcopy_give_up(struct memx_device *dev)
{
	if (memx_postcopy_is_on(dev) && !memx_slots_missing(dev))
		memx_postcopy_finish(dev);
}

/**
 * memx_postcopy_work - go on with a post-copy; a part of the session's work
 * @dev: the device, with a session
 *
 * Return: when to come again, in jiffies.
 */
unsigned long memx_postcopy_work(struct memx_device *dev)
{
	struct memx_session *session;
	u32 epoch = 0;

	if (!memx_postcopy_is_on(dev))
		return MAX_JIFFY_OFFSET;
	rcu_read_lock();
	session = rcu_dereference(dev->session);
	if (session)
		epoch = session->epoch;
	rcu_read_unlock();
	if (!epoch)
		return 0;

	if (!memx_slots_missing(dev)) {
		/* The server is about to say that it has pushed everything. */
		if (dev->postcopy.told == epoch && !memx_push_has_ended(dev) &&
		    !dev->postcopy.ending) {
			dev->postcopy.ending = true;
			return MEMX_POSTCOPY_LOOK;
		}
		return memx_postcopy_end(dev, epoch) ? 0 : MAX_JIFFY_OFFSET;
	}
	if (dev->postcopy.phase == MEMX_POSTCOPY_FAILED)
		return MEMX_POSTCOPY_LOOK;
	if (dev->postcopy.told != epoch)
		return memx_postcopy_tell(dev, epoch) ? 0 : MEMX_POSTCOPY_LOOK;
	/*
	 * What was fetched when there was no page to keep it in is missing, but
	 * for the server it has been moved. In a new session it has not.
	 */
	if (memx_push_has_ended(dev) && !atomic_read(&dev->inflight))
		memx_session_lost(dev, ktime_get_ns(),
				  "some pages must be pushed again");
	return MEMX_POSTCOPY_LOOK;
}
