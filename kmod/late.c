// SPDX-License-Identifier: GPL-2.0
/*
 * Writes to memory end a little late.
 *
 * A write that is served from memory is done in queue_rq. Ended there and then,
 * it would end too early for reclaim: reclaim still holds the page, so that the
 * end of the write cannot move the page to where reclaim looks next, and puts
 * it back where it looks last. It would write out everything before it frees
 * the first page, and for all that needs twice the memory. So a write ends when
 * the next batch of writes comes, as it would on a disk, or a moment later if
 * none does.
 */
#include <linux/blk-mq.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/timer.h>

#include "memx.h"

/**
 * struct memx_late - writes that are done, and have not ended
 * @lock: softirqs off
 * @rqs: the writes; those of earlier batches come first
 * @count: how many
 * @earlier: how many are of earlier batches
 * @timer: ends them when no other batch comes
 */
struct memx_late {
	spinlock_t lock;
	unsigned int count;
	unsigned int earlier;
	struct timer_list timer;
	struct request *rqs[RMAP_MAX_QUEUE_DEPTH];
};

/* A few at a time, as they end without the lock. Return how many. */
static unsigned int memx_late_end_some(struct memx_late *late, bool all)
{
	struct request *rqs[32];
	unsigned int i, count;

	spin_lock_bh(&late->lock);
	count = min_t(unsigned int, all ? late->count : late->earlier,
		      ARRAY_SIZE(rqs));
	memcpy(rqs, late->rqs, count * sizeof(*rqs));
	late->count -= count;
	late->earlier -= min(late->earlier, count);
	memmove(late->rqs, late->rqs + count, late->count * sizeof(*rqs));
	spin_unlock_bh(&late->lock);
	for (i = 0; i < count; i++)
		blk_mq_end_request(rqs[i], BLK_STS_OK);
	return count;
}

/**
 * memx_late_add - a write is done, and shall end
 * @dev: the device
 * @rq: the write
 */
void memx_late_add(struct memx_device *dev, struct request *rq)
{
	struct memx_late *late = dev->late;

	spin_lock_bh(&late->lock);
	late->rqs[late->count++] = rq;
	spin_unlock_bh(&late->lock);
}

/**
 * memx_late_batch - a batch of requests is complete
 * @dev: the device
 *
 * Writes of the batches before end.
 */
void memx_late_batch(struct memx_device *dev)
{
	struct memx_late *late = dev->late;
	bool more;

	if (!late || !READ_ONCE(late->count))
		return;
	while (memx_late_end_some(late, false))
		;
	spin_lock_bh(&late->lock);
	late->earlier = late->count;
	more = late->count;
	spin_unlock_bh(&late->lock);
	if (more)
		mod_timer(&late->timer, jiffies + 1);
}

/**
 * memx_late_end - end all writes that are done
 * @dev: the device
 */
void memx_late_end(struct memx_device *dev)
{
	while (memx_late_end_some(dev->late, true))
		;
}

static void memx_late_timer(struct timer_list *timer)
{
	struct memx_late *late = memx_timer_owner(late, timer, timer);

	while (memx_late_end_some(late, true))
		;
}

/**
 * memx_late_create - prepare
 * @dev: the device
 *
 * Return: 0 or -ENOMEM.
 */
int memx_late_create(struct memx_device *dev)
{
	struct memx_late *late = kvzalloc(sizeof(*late), GFP_KERNEL);

	if (!late)
		return -ENOMEM;
	spin_lock_init(&late->lock);
	timer_setup(&late->timer, memx_late_timer, 0);
	dev->late = late;
	return 0;
}

/**
 * memx_late_destroy - the end of memx_late_create()
 * @dev: the device, without a disk
 */
void memx_late_destroy(struct memx_device *dev)
{
	if (!dev->late)
		return;
	timer_delete_sync(&dev->late->timer);
	kvfree(dev->late);
	dev->late = NULL;
}
