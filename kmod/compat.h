/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Everything that differs between the kernels memx builds for, 6.1 and later.
 * Forced in front of every file; no other file tests a version. Each test
 * names the kernel that made the change.
 */
#ifndef MEMX_COMPAT_H
#define MEMX_COMPAT_H

#include <linux/kconfig.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "memx needs Linux 6.1 or later"
#endif
#if !IS_ENABLED(CONFIG_NETFILTER_INGRESS)
#error "memx needs CONFIG_NETFILTER_INGRESS"
#endif
#if !IS_ENABLED(CONFIG_XXHASH)
#error "memx needs CONFIG_XXHASH"
#endif

/* 6.4 made the class and its attributes constant. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define memx_class_const const
#else
#define memx_class_const
#endif

/* 6.5 opens the disk, where there was a block device; and has its own modes. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define MEMX_DISK_OPS(name, open_disk, release_disk, ...)		\
static int name##_open(struct gendisk *disk, blk_mode_t mode)		\
{									\
	return open_disk(disk);						\
}									\
static void name##_release(struct gendisk *disk)			\
{									\
	release_disk(disk);						\
}									\
static const struct block_device_operations name = {			\
	.open = name##_open,						\
	.release = name##_release,					\
	__VA_ARGS__							\
}
#else
#define MEMX_DISK_OPS(name, open_disk, release_disk, ...)		\
static int name##_open(struct block_device *bdev, fmode_t mode)		\
{									\
	return open_disk(bdev->bd_disk);				\
}									\
static void name##_release(struct gendisk *disk, fmode_t mode)		\
{									\
	release_disk(disk);						\
}									\
static const struct block_device_operations name = {			\
	.open = name##_open,						\
	.release = name##_release,					\
	__VA_ARGS__							\
}
#endif

/*
 * memx_alloc_disk(set, data, page_bytes, discard_sectors) - a disk whose every
 * read and write is one page, which does not rotate, has a cache that flushes
 * empty, and whose pages must not change while they are under way
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
/* 6.9 took limits at allocation; 6.11 made features of what had been flags. */
#define memx_alloc_disk(set, data, page_bytes, discard_sectors)		\
({									\
	struct queue_limits _limits = {					\
		.features = BLK_FEAT_WRITE_CACHE |			\
			    BLK_FEAT_STABLE_WRITES,			\
		.logical_block_size = (page_bytes),			\
		.physical_block_size = (page_bytes),			\
		.io_min = (page_bytes),					\
		.max_hw_sectors = (page_bytes) >> SECTOR_SHIFT,		\
		.max_segments = (page_bytes) >> SECTOR_SHIFT,		\
		.max_hw_discard_sectors = (discard_sectors),		\
		.discard_granularity = (page_bytes),			\
		.max_write_zeroes_sectors = (discard_sectors),		\
	};								\
	blk_mq_alloc_disk(set, &_limits, data);				\
})
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#define memx_alloc_disk(set, data, page_bytes, discard_sectors)		\
({									\
	struct queue_limits _limits = {					\
		.logical_block_size = (page_bytes),			\
		.physical_block_size = (page_bytes),			\
		.io_min = (page_bytes),					\
		.max_hw_sectors = (page_bytes) >> SECTOR_SHIFT,		\
		.max_segments = (page_bytes) >> SECTOR_SHIFT,		\
		.max_hw_discard_sectors = (discard_sectors),		\
		.discard_granularity = (page_bytes),			\
		.max_write_zeroes_sectors = (discard_sectors),		\
	};								\
	struct gendisk *_disk = blk_mq_alloc_disk(set, &_limits, data);	\
									\
	if (!IS_ERR(_disk)) {						\
		blk_queue_flag_set(QUEUE_FLAG_NONROT, _disk->queue);	\
		blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, _disk->queue); \
		blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES,		\
				   _disk->queue);			\
		blk_queue_write_cache(_disk->queue, true, false);	\
	}								\
	_disk;								\
})
#else
#define memx_alloc_disk(set, data, page_bytes, discard_sectors)		\
({									\
	struct gendisk *_disk = blk_mq_alloc_disk(set, data);		\
									\
	if (!IS_ERR(_disk)) {						\
		struct request_queue *_q = _disk->queue;		\
									\
		blk_queue_logical_block_size(_q, page_bytes);		\
		blk_queue_physical_block_size(_q, page_bytes);		\
		blk_queue_io_min(_q, page_bytes);			\
		blk_queue_max_hw_sectors(_q, (page_bytes) >> SECTOR_SHIFT); \
		blk_queue_max_segments(_q, (page_bytes) >> SECTOR_SHIFT); \
		blk_queue_max_discard_sectors(_q, discard_sectors);	\
		_q->limits.discard_granularity = (page_bytes);		\
		blk_queue_max_write_zeroes_sectors(_q, discard_sectors); \
		blk_queue_flag_set(QUEUE_FLAG_NONROT, _q);		\
		blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, _q);	\
		blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES, _q);	\
		blk_queue_write_cache(_q, true, false);			\
	}								\
	_disk;								\
})
#endif

/*
 * MEMX_SHRINKER(name, owner, member, count, scan, seek) - name_add(owner)
 * and name_remove(owner) for a memx_shrinker that is a member of the owner
 *
 * 6.7 has shrinkers allocated, where owners had them within.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#define memx_shrinker struct shrinker *
#define MEMX_SHRINKER(name, owner, member, count, scan, seek)			\
static unsigned long name##_count(struct shrinker *shrinker,		\
				  struct shrink_control *control)	\
{									\
	return count(shrinker->private_data);				\
}									\
static unsigned long name##_scan(struct shrinker *shrinker,		\
				 struct shrink_control *control)	\
{									\
	return scan(shrinker->private_data, control->nr_to_scan);	\
}									\
static int name##_add(owner *it)					\
{									\
	it->member = shrinker_alloc(0, "memx");				\
	if (!it->member)						\
		return -ENOMEM;						\
	it->member->count_objects = name##_count;			\
	it->member->scan_objects = name##_scan;				\
	it->member->seeks = (seek);					\
	it->member->private_data = it;					\
	shrinker_register(it->member);					\
	return 0;							\
}									\
static void name##_remove(owner *it)					\
{									\
	shrinker_free(it->member);					\
}
#else
#define memx_shrinker struct shrinker
#define MEMX_SHRINKER(name, owner, member, count, scan, seek)			\
static unsigned long name##_count(struct shrinker *shrinker,		\
				  struct shrink_control *control)	\
{									\
	return count(container_of(shrinker, owner, member));		\
}									\
static unsigned long name##_scan(struct shrinker *shrinker,		\
				 struct shrink_control *control)	\
{									\
	return scan(container_of(shrinker, owner, member),		\
		    control->nr_to_scan);				\
}									\
static int name##_add(owner *it)					\
{									\
	it->member.count_objects = name##_count;			\
	it->member.scan_objects = name##_scan;				\
	it->member.seeks = (seek);					\
	return register_shrinker(&it->member, "memx");			\
}									\
static void name##_remove(owner *it)					\
{									\
	unregister_shrinker(&it->member);				\
}
#endif

/*
 * memx_freeze_queue(queue) - wait until no request is under way, and let none
 * in; nor is reclaim let in, which would wait for it. Returns what
 * memx_unfreeze_queue() wants. 6.14 does both in one.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
#define memx_freeze_queue(queue) blk_mq_freeze_queue(queue)
#define memx_unfreeze_queue(queue, flags) blk_mq_unfreeze_queue(queue, flags)
#else
#include <linux/sched/mm.h>
#define memx_freeze_queue(queue)					\
({									\
	unsigned int _flags = memalloc_noio_save();			\
									\
	blk_mq_freeze_queue(queue);					\
	_flags;								\
})
#define memx_unfreeze_queue(queue, flags)				\
do {									\
	blk_mq_unfreeze_queue(queue);					\
	memalloc_noio_restore(flags);					\
} while (0)
#endif

/* 6.6 gave folios of the swap cache a field for their entry. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define memx_swap_entry(folio) ((folio)->swap)
#else
#define memx_swap_entry(folio) folio_swap_entry(folio)
#endif

/* 6.16 renamed from_timer(). */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#define memx_timer_owner(ptr, timer, member) \
	timer_container_of(ptr, timer, member)
#else
#define memx_timer_owner(ptr, timer, member) from_timer(ptr, timer, member)
#endif

#endif /* MEMX_COMPAT_H */
