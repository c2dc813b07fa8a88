// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/memx/memxN. ABI/debugfs-memx describes the files.
 */
#include <linux/debugfs.h>
#include <linux/ktime.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "memx.h"

static struct dentry *memx_debugfs_root;

static int latency_show(struct seq_file *file, void *unused)
{
	struct memx_device *dev = file->private;
	u64 *counts = kcalloc(MEMX_HISTOGRAM_BUCKETS, sizeof(*counts),
			      GFP_KERNEL);
	unsigned int write, i;

	if (!counts)
		return -ENOMEM;
	for (write = 0; write < 2; write++) {
		memx_latency_sum(dev, write, counts);
		for (i = 0; i < MEMX_HISTOGRAM_BUCKETS; i++)
			if (counts[i])
				seq_printf(file, "%s %llu %llu %llu\n",
					   write ? "write" : "read",
					   memx_histogram_low(i),
					   memx_histogram_low(i + 1) - 1,
					   counts[i]);
	}
	kfree(counts);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(latency);

static const char *memx_opcode_name(u8 opcode)
{
	switch (opcode) {
	case RMAP_READ:
		return "read";
	case RMAP_WRITE:
		return "write";
	case RMAP_DISCARD:
		return "discard";
	default:
		return "flush";
	}
}

static int requests_show(struct seq_file *file, void *unused)
{
	struct memx_device *dev = file->private;
	u64 now = ktime_get_ns();
	unsigned int tag;

	for_each_set_bit(tag, dev->outstanding, dev->queue_depth) {
		struct memx_cmd *cmd = &dev->cmds[tag];
		u64 slot, started;
		u8 opcode, attempt;
		bool used;

		spin_lock_bh(&cmd->lock);
		used = cmd->rq;
		opcode = cmd->opcode;
		slot = cmd->slot;
		started = cmd->started_ns;
		attempt = cmd->attempt;
		spin_unlock_bh(&cmd->lock);
		if (used)
			seq_printf(file, "%u %s %llu %llu %u\n", tag,
				   memx_opcode_name(opcode), slot,
				   now > started ? div_u64(now - started,
							   NSEC_PER_MSEC) : 0,
				   attempt);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(requests);

/**
 * memx_debugfs_init - memx/ in debugfs
 */
void memx_debugfs_init(void)
{
	memx_debugfs_root = debugfs_create_dir("memx", NULL);
}

/**
 * memx_debugfs_exit - it goes
 */
void memx_debugfs_exit(void)
{
	debugfs_remove(memx_debugfs_root);
}

/**
 * memx_debugfs_add - a device's directory
 * @dev: the device
 *
 * Nothing depends on debugfs, so its errors are ignored.
 */
void memx_debugfs_add(struct memx_device *dev)
{
	char name[16];

	snprintf(name, sizeof(name), "memx%d", dev->id);
	dev->debugfs = debugfs_create_dir(name, memx_debugfs_root);
	debugfs_create_file("latency", 0444, dev->debugfs, dev, &latency_fops);
	debugfs_create_file("requests", 0444, dev->debugfs, dev,
			    &requests_fops);
}

/**
 * memx_debugfs_remove - it goes; waits for whoever reads there
 * @dev: the device
 */
void memx_debugfs_remove(struct memx_device *dev)
{
	debugfs_remove(dev->debugfs);
	dev->debugfs = NULL;
}
