// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-paging by copying, where frames cannot be exchanged: the same
 * post-copy under any hypervisor, or none.
 *
 * The device has a region on a server. Until a post-copy begins, pages are
 * written to it, and the slot map notes which, and in which order. From its
 * begin on nothing is written there any more: what is written stays here, and
 * what the server has comes back. When all has, the server forgets it, and the
 * device copies again.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "memx.h"

/* Is it written to the server as well? */
static bool memx_copy_through(const struct memx_device *dev)
{
	return dev->copies && !memx_postcopy_is_on(dev);
}

/**
 * memx_copy_request - do what can be done here of a request
 * @dev: the device, with a slot map
 * @rq: the request
 * @status: how it ended, when the return value is true
 *
 * Return: whether that was all; else the server is to be asked.
 */
bool memx_copy_request(struct memx_device *dev, struct request *rq,
		       blk_status_t *status)
{
	u64 slot = blk_rq_pos(rq) / MEMX_SLOT_SECTORS;
	bool through = memx_copy_through(dev);

	*status = BLK_STS_OK;
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return memx_slot_read(dev, slot, rq);
	case REQ_OP_WRITE:
		if (!through)
			*status = memx_slot_write(dev, slot, rq);
		else if (memx_payload_is_zero(rq))
			memx_slots_free(dev, slot, 1);
		else
			memx_slot_sent(dev, slot);
		return !through;
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		memx_slots_free(dev, slot,
				blk_rq_sectors(rq) / MEMX_SLOT_SECTORS);
		return !through;
	default:
		return !through;
	}
}

/**
 * memx_copy_back - let a post-copy begin
 * @dev: the device
 * @line: "begin", then the name of a strategy and a rate in bytes a second,
 *	if they are wanted
 *
 * Requests that are under way end first, so that the server has what the slot
 * map says it has. Reclaim may wait for those, so it must not be waited for.
 *
 * Return: 0; -EINVAL for another line; -EBUSY while a post-copy is under way;
 * -EOPNOTSUPP for a device that does not copy; -ENOMEM when what would come has
 * no room.
 */
int memx_copy_back(struct memx_device *dev, const char *line)
{
	char strategy[RMAP_STRATEGY_BYTES + 1] = "";
	char rate_text[24] = "0", *end;
	unsigned int flags;
	int ret, words;
	u64 rate;

	words = sscanf(line, "begin %32s %23s", strategy, rate_text);
	rate = memparse(rate_text, &end);
	if ((words <= 0 && !sysfs_streq(line, "begin")) || *end) {
		pr_err("memx%d: postcopy: write begin, then a strategy and bytes a second if wanted\n",
		       dev->id);
		return -EINVAL;
	}
	if (!dev->copies)
		return -EOPNOTSUPP;
	if (memx_slots_missing(dev) > si_mem_available()) {
		pr_err("memx%d: postcopy: %llu pages would come back, and there is room for %ld\n",
		       dev->id, memx_slots_missing(dev), si_mem_available());
		return -ENOMEM;
	}
	flags = memx_freeze_queue(dev->disk->queue);
	ret = memx_postcopy_begin(dev, strategy, rate);
	memx_unfreeze_queue(dev->disk->queue, flags);
	return ret;
}
