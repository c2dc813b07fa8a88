// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/class/memx and /sys/block/memxN/memx. ABI/ describes every file.
 */
#include <linux/ctype.h>
#include <linux/device.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "memx.h"

static ssize_t attach_show(memx_class_const struct class *class,
			   memx_class_const struct class_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf,
		"Write a line of words to attach a region as /dev/memxN:\n"
		"  region=NAME link=IFNAME [server=MAC] [token=TEXT] [size=BYTES]\n"
		"  [queue_depth=1..%d] [mtu=%d..%d] [timeout_s=1..%d] [id=N]\n"
		"Without server= any server that has the region is found.\n"
		"Over RDMA: link=rdma:ADDRESS[:PORT] [device=NAME] [ib_port=N] [gid_index=N]\n"
		"For pseudo-paging: mode=pseudo, with region= or size=; without a region,\n"
		"link=rdma: alone has pages follow a migration over RDMA.\n"
		"To detach: echo 1 > /sys/block/memxN/memx/detach\n",
		RMAP_MAX_QUEUE_DEPTH, RMAP_MIN_MTU, RMAP_MAX_MTU,
		MEMX_MAX_TIMEOUT_S);
}

static ssize_t attach_store(memx_class_const struct class *class,
			    memx_class_const struct class_attribute *attr,
			    const char *buf, size_t count)
{
	ssize_t ret = memx_attach_line(buf, count);

	return ret ?: count;
}

/* Root alone: what is written may hold a token. */
static memx_class_const struct class_attribute class_attr_attach =
	__ATTR(attach, 0644, attach_show, attach_store);

static ssize_t version_show(memx_class_const struct class *class,
			    memx_class_const struct class_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%s rmap %d\n", MEMX_VERSION, RMAP_VERSION);
}

static memx_class_const struct class_attribute class_attr_version =
	__ATTR(version, 0444, version_show, NULL);

static struct attribute *memx_class_attrs[] = {
	(struct attribute *)&class_attr_attach.attr,
	(struct attribute *)&class_attr_version.attr,
	NULL,
};
ATTRIBUTE_GROUPS(memx_class);

static struct class memx_class = {
	.name = "memx",
	.class_groups = memx_class_groups,
};

/**
 * memx_class_create - /sys/class/memx
 *
 * Return: 0 or why not.
 */
int memx_class_create(void)
{
	return class_register(&memx_class);
}

/**
 * memx_class_destroy - waits for whoever is attaching, and lets in no more
 */
void memx_class_destroy(void)
{
	class_unregister(&memx_class);
}

/**
 * memx_stat_sum - a counter, from all CPUs
 * @dev: the device
 * @stat: which
 *
 * Return: the sum.
 */
u64 memx_stat_sum(const struct memx_device *dev, enum memx_stat stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(dev->percpu, cpu)->stat[stat]);
	return sum;
}

/**
 * memx_latency_sum - a histogram, from all CPUs
 * @dev: the device
 * @write: of writes, else of reads
 * @counts: MEMX_HISTOGRAM_BUCKETS counters
 */
void memx_latency_sum(const struct memx_device *dev, bool write, u64 *counts)
{
	unsigned int i;
	int cpu;

	memset(counts, 0, MEMX_HISTOGRAM_BUCKETS * sizeof(*counts));
	for_each_possible_cpu(cpu) {
		const struct memx_percpu *percpu = per_cpu_ptr(dev->percpu, cpu);
		const u64 *from = write ? percpu->write_us : percpu->read_us;

		for (i = 0; i < MEMX_HISTOGRAM_BUCKETS; i++)
			counts[i] += READ_ONCE(from[i]);
	}
}

/**
 * struct memx_attribute - a file in memx/ or memx/stats/
 * @attr: name and mode
 * @show: prints it
 * @store: takes what is written, or NULL
 * @which: for @show
 */
struct memx_attribute {
	struct attribute attr;
	ssize_t (*show)(struct memx_device *dev, int which, char *buf);
	int (*store)(struct memx_device *dev, const char *buf);
	int which;
};

#define MEMX_SHOW(file, format, value)					\
static ssize_t file##_show(struct memx_device *dev, int which, char *buf) \
{									\
	return sysfs_emit(buf, format "\n", value);			\
}									\
static struct memx_attribute memx_attr_##file = {			\
	.attr = { .name = #file, .mode = 0444 },			\
	.show = file##_show,						\
}

static u32 memx_session_id(struct memx_device *dev, bool mtu)
{
	struct memx_session *session;
	u32 value = 0;

	rcu_read_lock();
	session = rcu_dereference(dev->session);
	if (session)
		value = mtu ? session->mtu : session->id;
	rcu_read_unlock();
	return value;
}

MEMX_SHOW(region, "%s", dev->region);
MEMX_SHOW(link, "%s", dev->params.link);

static ssize_t server_show(struct memx_device *dev, int which, char *buf)
{
	char text[MEMX_SERVER_NAME_BYTES];

	dev->transport->server_name(dev, text, sizeof(text));
	return sysfs_emit(buf, "%s\n", text);
}

static struct memx_attribute memx_attr_server = {
	.attr = { .name = "server", .mode = 0444 },
	.show = server_show,
};

MEMX_SHOW(session, "0x%08x", memx_session_id(dev, false));
MEMX_SHOW(incarnation, "0x%016llx", READ_ONCE(dev->incarnation));
MEMX_SHOW(mtu, "%u", memx_session_id(dev, true));
MEMX_SHOW(queue_depth, "%u", dev->queue_depth);
MEMX_SHOW(credits, "%u", READ_ONCE(dev->credits));
MEMX_SHOW(state, "%s", memx_state_name(READ_ONCE(dev->state)));
MEMX_SHOW(srtt_us, "%llu", div_u64(READ_ONCE(dev->rtt.srtt_ns), NSEC_PER_USEC));
MEMX_SHOW(rto_us, "%llu", div_u64(memx_rto_now_ns(dev), NSEC_PER_USEC));

static ssize_t timeout_s_show(struct memx_device *dev, int which, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(dev->timeout_s));
}

static int timeout_s_store(struct memx_device *dev, const char *buf)
{
	unsigned int s;

	if (kstrtouint(buf, 10, &s) || !s || s > MEMX_MAX_TIMEOUT_S) {
		pr_err("memx%d: timeout_s must be 1 to %d\n", dev->id,
		       MEMX_MAX_TIMEOUT_S);
		return -EINVAL;
	}
	WRITE_ONCE(dev->timeout_s, s);
	/* For requests that start from now on. */
	blk_queue_rq_timeout(dev->disk->queue, s * HZ);
	return 0;
}

static struct memx_attribute memx_attr_timeout_s = {
	.attr = { .name = "timeout_s", .mode = 0644 },
	.show = timeout_s_show,
	.store = timeout_s_store,
};

static ssize_t postcopy_show(struct memx_device *dev, int which, char *buf)
{
	return sysfs_emit(buf, "%s\n", memx_postcopy_phase_name(
		READ_ONCE(dev->postcopy.phase)));
}

static int postcopy_store(struct memx_device *dev, const char *buf)
{
	return memx_copy_back(dev, buf);
}

static struct memx_attribute memx_attr_postcopy = {
	.attr = { .name = "postcopy", .mode = 0644 },
	.show = postcopy_show,
	.store = postcopy_store,
};

static struct memx_attribute memx_attr_detach;

/*
 * The file goes while it is being written to. So this write must not count as
 * a use of it any more; and must keep the module itself.
 */
static int detach_store(struct memx_device *dev, const char *buf)
{
	struct kernfs_node *file;
	bool force;
	int ret;

	if (sysfs_streq(buf, "1"))
		force = false;
	else if (sysfs_streq(buf, "force"))
		force = true;
	else
		return -EINVAL;
	if (!try_module_get(THIS_MODULE))
		return -ENODEV;
	ret = memx_device_detach(dev, force);
	if (ret == 1) {
		file = sysfs_break_active_protection(&dev->kobj,
						     &memx_attr_detach.attr);
		memx_device_destroy(dev);
		if (file)
			sysfs_unbreak_active_protection(file);
		ret = 0;
	}
	module_put(THIS_MODULE);
	return ret;
}

static struct memx_attribute memx_attr_detach = {
	.attr = { .name = "detach", .mode = 0200 },
	.store = detach_store,
};

static struct attribute *memx_attrs[] = {
	&memx_attr_region.attr,
	&memx_attr_link.attr,
	&memx_attr_server.attr,
	&memx_attr_session.attr,
	&memx_attr_incarnation.attr,
	&memx_attr_mtu.attr,
	&memx_attr_queue_depth.attr,
	&memx_attr_credits.attr,
	&memx_attr_state.attr,
	&memx_attr_timeout_s.attr,
	&memx_attr_srtt_us.attr,
	&memx_attr_rto_us.attr,
	&memx_attr_postcopy.attr,
	&memx_attr_detach.attr,
	NULL,
};

static const struct attribute_group memx_group = {
	.attrs = memx_attrs,
};

static ssize_t memx_stat_show(struct memx_device *dev, int which, char *buf)
{
	return sysfs_emit(buf, "%llu\n", memx_stat_sum(dev, which));
}

#define MEMX_STAT(file, stat)						\
static struct memx_attribute memx_attr_##file = {			\
	.attr = { .name = #file, .mode = 0444 },			\
	.show = memx_stat_show,						\
	.which = stat,							\
}

MEMX_STAT(reads, MEMX_READS);
MEMX_STAT(writes, MEMX_WRITES);
MEMX_STAT(discards, MEMX_DISCARDS);
MEMX_STAT(flushes, MEMX_FLUSHES);
MEMX_STAT(discarded_pages, MEMX_DISCARDED_PAGES);
MEMX_STAT(errors, MEMX_ERRORS);
MEMX_STAT(retransmits, MEMX_RETRANSMITS);
MEMX_STAT(timeouts, MEMX_TIMEOUTS);
MEMX_STAT(late_replies, MEMX_LATE_REPLIES);
MEMX_STAT(bad_checksum, MEMX_BAD_CHECKSUM);
MEMX_STAT(bad_frames, MEMX_BAD_FRAMES);
MEMX_STAT(reconnects, MEMX_RECONNECTS);
MEMX_STAT(lost_pages, MEMX_LOST_PAGES);
MEMX_STAT(tx_frames, MEMX_TX_FRAMES);
MEMX_STAT(rx_frames, MEMX_RX_FRAMES);
MEMX_STAT(rx_pfmemalloc, MEMX_RX_PFMEMALLOC);
MEMX_STAT(tx_nomem, MEMX_TX_NOMEM);
MEMX_STAT(credit_waits, MEMX_CREDIT_WAITS);
MEMX_STAT(zero_pages, MEMX_ZERO_PAGES);
MEMX_STAT(one_sided, MEMX_ONE_SIDED);
MEMX_STAT(pushed_pages, MEMX_PUSHED_PAGES);
MEMX_STAT(fetched_pages, MEMX_FETCHED_PAGES);
MEMX_STAT(outdated_pages, MEMX_OUTDATED_PAGES);
MEMX_STAT(network_faults, MEMX_NETWORK_FAULTS);
MEMX_STAT(announced_faults, MEMX_ANNOUNCED_FAULTS);
MEMX_STAT(minor_faults, MEMX_MINOR_FAULTS);
MEMX_STAT(unwanted_pushes, MEMX_UNWANTED_PUSHES);
MEMX_STAT(repeated_pushes, MEMX_REPEATED_PUSHES);
MEMX_STAT(rx_nomem, MEMX_RX_NOMEM);

/* @which: percent, negative for writes. */
static ssize_t memx_latency_show(struct memx_device *dev, int which, char *buf)
{
	u64 *counts = kcalloc(MEMX_HISTOGRAM_BUCKETS, sizeof(*counts),
			      GFP_KERNEL);
	u64 us;

	if (!counts)
		return -ENOMEM;
	memx_latency_sum(dev, which < 0, counts);
	us = memx_histogram_percentile(counts, abs(which));
	kfree(counts);
	return sysfs_emit(buf, "%llu\n", us);
}

#define MEMX_LATENCY(file, percent)					\
static struct memx_attribute memx_attr_##file = {			\
	.attr = { .name = #file, .mode = 0444 },			\
	.show = memx_latency_show,					\
	.which = percent,						\
}

MEMX_LATENCY(read_latency_us_p50, 50);
MEMX_LATENCY(read_latency_us_p99, 99);
MEMX_LATENCY(write_latency_us_p50, -50);
MEMX_LATENCY(write_latency_us_p99, -99);

MEMX_SHOW(outstanding, "%d", atomic_read(&dev->inflight));
MEMX_SHOW(missing_pages, "%llu", dev->map ? memx_slots_missing(dev) : 0);
MEMX_SHOW(unread_pages, "%llu", dev->map ? memx_slots_unread(dev) : 0);
MEMX_SHOW(longest_wait_us, "%llu",
	  div_u64(atomic64_read(&dev->postcopy.longest_wait_ns),
		  NSEC_PER_USEC));

static u64 memx_status_stored(struct memx_device *dev)
{
	memx_session_ask_status(dev);
	return READ_ONCE(dev->stored_pages);
}

static u64 memx_status_quota(struct memx_device *dev)
{
	memx_session_ask_status(dev);
	return READ_ONCE(dev->quota_pages);
}

MEMX_SHOW(server_stored_pages, "%llu", memx_status_stored(dev));
MEMX_SHOW(server_quota_pages, "%llu", memx_status_quota(dev));

static struct attribute *memx_stats_attrs[] = {
	&memx_attr_reads.attr,
	&memx_attr_writes.attr,
	&memx_attr_discards.attr,
	&memx_attr_flushes.attr,
	&memx_attr_discarded_pages.attr,
	&memx_attr_errors.attr,
	&memx_attr_retransmits.attr,
	&memx_attr_timeouts.attr,
	&memx_attr_late_replies.attr,
	&memx_attr_bad_checksum.attr,
	&memx_attr_bad_frames.attr,
	&memx_attr_reconnects.attr,
	&memx_attr_lost_pages.attr,
	&memx_attr_tx_frames.attr,
	&memx_attr_rx_frames.attr,
	&memx_attr_rx_pfmemalloc.attr,
	&memx_attr_tx_nomem.attr,
	&memx_attr_credit_waits.attr,
	&memx_attr_zero_pages.attr,
	&memx_attr_one_sided.attr,
	&memx_attr_pushed_pages.attr,
	&memx_attr_fetched_pages.attr,
	&memx_attr_outdated_pages.attr,
	&memx_attr_network_faults.attr,
	&memx_attr_announced_faults.attr,
	&memx_attr_minor_faults.attr,
	&memx_attr_unwanted_pushes.attr,
	&memx_attr_repeated_pushes.attr,
	&memx_attr_rx_nomem.attr,
	&memx_attr_missing_pages.attr,
	&memx_attr_unread_pages.attr,
	&memx_attr_longest_wait_us.attr,
	&memx_attr_read_latency_us_p50.attr,
	&memx_attr_read_latency_us_p99.attr,
	&memx_attr_write_latency_us_p50.attr,
	&memx_attr_write_latency_us_p99.attr,
	&memx_attr_outstanding.attr,
	&memx_attr_server_stored_pages.attr,
	&memx_attr_server_quota_pages.attr,
	NULL,
};

static const struct attribute_group memx_stats_group = {
	.name = "stats",
	.attrs = memx_stats_attrs,
};

#ifdef CONFIG_XEN_PV
static const char *memx_migration_phase(const struct memx_device *dev)
{
	const struct memx_pseudo *pseudo = READ_ONCE(dev->pseudo);

	return memx_phase_name(pseudo ? READ_ONCE(pseudo->phase) :
					MEMX_PHASE_IDLE);
}

static u64 memx_released_pages(const struct memx_device *dev)
{
	const struct memx_pseudo *pseudo = READ_ONCE(dev->pseudo);

	return pseudo ? READ_ONCE(pseudo->balloon.count) : 0;
}

MEMX_SHOW(migration, "%s", memx_migration_phase(dev));
MEMX_SHOW(used_slots, "%llu", dev->map ? memx_slots_used(dev) : 0);
MEMX_SHOW(missing_slots, "%llu", dev->map ? memx_slots_missing(dev) : 0);
MEMX_SHOW(released_pages, "%llu", memx_released_pages(dev));

static ssize_t memx_hypercalls_show(struct memx_device *dev, int which,
				    char *buf)
{
	return sysfs_emit(buf, "%llu\n", memx_xen_hypercalls(which));
}

static ssize_t memx_pages_show(struct memx_device *dev, int which, char *buf)
{
	return sysfs_emit(buf, "%llu\n", memx_xen_pages(which));
}

/* Thousandths, rounded up: a batch of any size is more than nothing. */
static ssize_t memx_per_page_show(struct memx_device *dev, int which, char *buf)
{
	u64 pages = memx_xen_pages(which);
	u64 thousandths = pages ? DIV64_U64_ROUND_UP(
		memx_xen_hypercalls(which) * 1000, pages) : 0;

	return sysfs_emit(buf, "%llu.%03llu\n", thousandths / 1000,
			  thousandths % 1000);
}

#define MEMX_XEN(file, kind)						\
static struct memx_attribute memx_attr_##file##_hypercalls = {		\
	.attr = { .name = #file "_hypercalls", .mode = 0444 },		\
	.show = memx_hypercalls_show,					\
	.which = kind,							\
};									\
static struct memx_attribute memx_attr_##file##_pages = {		\
	.attr = { .name = #file "_pages", .mode = 0444 },		\
	.show = memx_pages_show,					\
	.which = kind,							\
};									\
static struct memx_attribute memx_attr_##file##_hypercalls_per_page = {	\
	.attr = { .name = #file "_hypercalls_per_page", .mode = 0444 },	\
	.show = memx_per_page_show,					\
	.which = kind,							\
}

MEMX_XEN(exchange, MEMX_XEN_EXCHANGE);
MEMX_XEN(hide, MEMX_XEN_HIDE);
MEMX_XEN(unhide, MEMX_XEN_UNHIDE);
MEMX_XEN(release, MEMX_XEN_RELEASE);
MEMX_XEN(populate, MEMX_XEN_POPULATE);

#define MEMX_XEN_ATTRS(file)						\
	&memx_attr_##file##_hypercalls.attr,				\
	&memx_attr_##file##_pages.attr,					\
	&memx_attr_##file##_hypercalls_per_page.attr

static struct attribute *memx_xen_attrs[] = {
	&memx_attr_migration.attr,
	&memx_attr_used_slots.attr,
	&memx_attr_missing_slots.attr,
	&memx_attr_released_pages.attr,
	MEMX_XEN_ATTRS(exchange),
	MEMX_XEN_ATTRS(hide),
	MEMX_XEN_ATTRS(unhide),
	MEMX_XEN_ATTRS(release),
	MEMX_XEN_ATTRS(populate),
	NULL,
};

static const struct attribute_group memx_xen_group = {
	.name = "xen",
	.attrs = memx_xen_attrs,
};
#endif

static const struct attribute_group *memx_groups[] = {
	&memx_group,
	&memx_stats_group,
#ifdef CONFIG_XEN_PV
	&memx_xen_group,
#endif
	NULL,
};

static ssize_t memx_attr_show(struct kobject *kobj, struct attribute *attr,
			      char *buf)
{
	struct memx_device *dev = container_of(kobj, struct memx_device, kobj);
	struct memx_attribute *file = container_of(attr, struct memx_attribute,
						   attr);

	return file->show ? file->show(dev, file->which, buf) : -EIO;
}

static ssize_t memx_attr_store(struct kobject *kobj, struct attribute *attr,
			       const char *buf, size_t count)
{
	struct memx_device *dev = container_of(kobj, struct memx_device, kobj);
	struct memx_attribute *file = container_of(attr, struct memx_attribute,
						   attr);
	int ret = file->store ? file->store(dev, buf) : -EIO;

	return ret ?: count;
}

static const struct sysfs_ops memx_sysfs_ops = {
	.show = memx_attr_show,
	.store = memx_attr_store,
};

static void memx_kobj_release(struct kobject *kobj)
{
	memx_device_put(container_of(kobj, struct memx_device, kobj));
}

static const struct kobj_type memx_ktype = {
	.release = memx_kobj_release,
	.sysfs_ops = &memx_sysfs_ops,
	.default_groups = memx_groups,
};

/**
 * memx_sysfs_add - memx/ in the disk's directory
 * @dev: the device, with a disk
 *
 * Return: 0 or why not.
 */
int memx_sysfs_add(struct memx_device *dev)
{
	int ret;

	kref_get(&dev->refs);
	dev->has_kobj = true;
	ret = kobject_init_and_add(&dev->kobj, &memx_ktype,
				   &disk_to_dev(dev->disk)->kobj, "memx");
	if (ret) {
		dev->has_kobj = false;
		kobject_put(&dev->kobj);
	}
	return ret;
}

/**
 * memx_sysfs_remove - memx/ goes; waits for whoever reads or writes there
 * @dev: the device
 */
void memx_sysfs_remove(struct memx_device *dev)
{
	if (!dev->has_kobj)
		return;
	dev->has_kobj = false;
	kobject_del(&dev->kobj);
	kobject_put(&dev->kobj);
}
