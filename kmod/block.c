// SPDX-License-Identifier: GPL-2.0
/*
 * The disk.
 *
 * A request is one page, as is everything that RMAP knows: blocks are as large
 * as pages and nothing larger is let through, so the block layer does the
 * cutting. Requests that come together leave together (memx_batch).
 *
 * One hardware queue: there is one link. blk-mq's tag is the tag on the wire.
 *
 * The disk says that it has a write cache, so that fsync() reaches the server
 * as FLUSH; a server that keeps its pages in memory answers at once.
 *
 * Pages must not change while they are being written (STABLE_WRITES): their
 * checksum is in the header already. Swap and file systems see to that.
 */
#include <linux/blk-mq.h>
#include <linux/hash.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "memx.h"

static void memx_batch_send(struct memx_device *dev, struct memx_batch *batch,
			    bool all)
{
	struct memx_burst burst;

	memx_burst_init(&burst);
	spin_lock_bh(&batch->lock);
	memx_burst_take(&burst, &batch->burst, all);
	spin_unlock_bh(&batch->lock);
	memx_burst_send(dev, &burst);
}

static struct memx_batch *memx_batch_of_task(struct memx_device *dev)
{
	return &dev->batches[hash_ptr(current, MEMX_BATCH_BITS)];
}

/* A request that the slot map has served; others are counted when they end. */
static void memx_count_served(struct memx_device *dev, struct request *rq,
			      blk_status_t status)
{
	if (status != BLK_STS_OK) {
		memx_count(dev, MEMX_ERRORS);
		return;
	}
	switch (req_op(rq)) {
	case REQ_OP_READ:
		memx_count(dev, MEMX_READS);
		break;
	case REQ_OP_WRITE:
		memx_count(dev, MEMX_WRITES);
		break;
	case REQ_OP_FLUSH:
		memx_count(dev, MEMX_FLUSHES);
		break;
	default:
		memx_count(dev, MEMX_DISCARDS);
		memx_count_many(dev, MEMX_DISCARDED_PAGES,
				blk_rq_sectors(rq) / MEMX_SLOT_SECTORS);
	}
}

static blk_status_t memx_queue_rq(struct blk_mq_hw_ctx *hctx,
				  const struct blk_mq_queue_data *bd)
{
	struct memx_device *dev = hctx->queue->queuedata;
	struct memx_batch *batch = memx_batch_of_task(dev);
	enum memx_state state = READ_ONCE(dev->state);
	struct request *rq = bd->rq;
	blk_status_t status;

	if (state == MEMX_DETACHING) {
		status = BLK_STS_IOERR;
		memx_count(dev, MEMX_ERRORS);
	} else if (memx_exchange_gather(dev, rq)) {
		status = BLK_STS_OK;
	} else if (dev->map && memx_copy_request(dev, rq, &status)) {
		memx_count_served(dev, rq, status);
		blk_mq_start_request(rq);
		if (status == BLK_STS_OK && req_op(rq) == REQ_OP_WRITE)
			memx_late_add(dev, rq);
		else
			blk_mq_end_request(rq, status);
		status = BLK_STS_OK;
	} else if (state == MEMX_FAILED) {
		status = BLK_STS_IOERR;
		memx_count(dev, MEMX_ERRORS);
	} else if (!memx_credit_take(dev)) {
		status = BLK_STS_DEV_RESOURCE;
	} else {
		blk_mq_start_request(rq);
		status = memx_request_start(dev, rq, batch);
		if (status != BLK_STS_OK) {
			memx_count(dev, MEMX_ERRORS);
			memx_credit_give(dev);
		}
	}
	if (bd->last || status != BLK_STS_OK) {
		memx_exchange_commit(dev);
		memx_late_batch(dev);
	}
	/* Full frames go at once; the last one waits for company. */
	memx_batch_send(dev, batch, bd->last || status != BLK_STS_OK);
	return status;
}

/* blk-mq had said there was more, but there is not. */
static void memx_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	struct memx_device *dev = hctx->queue->queuedata;

	memx_exchange_commit(dev);
	memx_late_batch(dev);
	memx_batch_send(dev, memx_batch_of_task(dev), true);
}

static enum blk_eh_timer_return memx_timeout(struct request *rq)
{
	struct memx_device *dev = rq->q->queuedata;

	if (memx_request_give_up(dev, rq))
		return BLK_EH_DONE;
	/* It is ending by itself, or has only just begun. */
	return BLK_EH_RESET_TIMER;
}

static const struct blk_mq_ops memx_mq_ops = {
	.queue_rq = memx_queue_rq,
	.commit_rqs = memx_commit_rqs,
	.timeout = memx_timeout,
};

static int memx_disk_open(struct gendisk *disk)
{
	return memx_device_open(disk->private_data);
}

static void memx_disk_release(struct gendisk *disk)
{
	memx_device_release(disk->private_data);
}

static void memx_disk_free(struct gendisk *disk)
{
	memx_device_put(disk->private_data);
}

/* Swap says at once what it needs no more; the map can forget it for nothing. */
static void memx_disk_slot_free(struct block_device *bdev, unsigned long slot)
{
	struct memx_device *dev = bdev->bd_disk->private_data;

	if (dev->map)
		memx_slots_free(dev, slot, 1);
}

MEMX_DISK_OPS(memx_disk_ops, memx_disk_open, memx_disk_release,
	.owner = THIS_MODULE,
	.free_disk = memx_disk_free,
	.swap_slot_free_notify = memx_disk_slot_free,
);

/**
 * memx_block_create - make the disk, and let requests in
 * @dev: the device, with a session
 *
 * Return: 0, and the reference that the device was made with is the disk's;
 * or why not, and then there is no disk.
 */
int memx_block_create(struct memx_device *dev)
{
	struct gendisk *disk;
	int ret;

	/* One page is one slot; larger pages would need several. */
	BUILD_BUG_ON(PAGE_SIZE != RMAP_PAGE_BYTES);

	dev->tag_set.ops = &memx_mq_ops;
	dev->tag_set.nr_hw_queues = 1;
	dev->tag_set.queue_depth = dev->queue_depth;
	dev->tag_set.numa_node = NUMA_NO_NODE;
	dev->tag_set.timeout = dev->timeout_s * HZ;
	dev->tag_set.flags = BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	ret = blk_mq_alloc_tag_set(&dev->tag_set);
	if (ret)
		return ret;
	/* The block layer may have got by with less, for want of memory. */
	dev->queue_depth = dev->tag_set.queue_depth;

	disk = memx_alloc_disk(&dev->tag_set, dev, RMAP_PAGE_BYTES,
			       MEMX_MAX_DISCARD_SECTORS);
	if (IS_ERR(disk)) {
		ret = PTR_ERR(disk);
		goto free_tags;
	}
	disk->private_data = dev;
	disk->fops = &memx_disk_ops;
	disk->flags |= GENHD_FL_NO_PART;
	snprintf(disk->disk_name, sizeof(disk->disk_name), "memx%d", dev->id);
	set_capacity(disk, dev->slots * MEMX_SLOT_SECTORS);
	dev->disk = disk;

	/* As soon as the disk is there, somebody reads it. */
	memx_session_begin(dev);
	ret = device_add_disk(NULL, disk, NULL);
	if (ret)
		goto put_disk;
	return 0;

put_disk:
	/* The work may still use the disk's queue. */
	spin_lock_bh(&dev->state_lock);
	WRITE_ONCE(dev->state, MEMX_DETACHING);
	spin_unlock_bh(&dev->state_lock);
	memx_session_stop(dev);
	memx_requests_fail(dev);
	dev->disk = NULL;
	/* Never added, it does not call free_disk. */
	put_disk(disk);
free_tags:
	blk_mq_free_tag_set(&dev->tag_set);
	return ret;
}

/**
 * memx_block_destroy - the disk goes; a reference to it stays
 * @dev: the device, in MEMX_DETACHING
 */
void memx_block_destroy(struct memx_device *dev)
{
	del_gendisk(dev->disk);
	blk_mq_free_tag_set(&dev->tag_set);
}
