// SPDX-License-Identifier: GPL-2.0
/*
 * A migration of this guest by post-copy, as the guest sees it. The idea is
 * from Hines, Deshpande, Gopalan, "Post-Copy Live Migration of Virtual
 * Machines", section 4; docs/POSTCOPY.md describes the whole.
 *
 *	IDLE -- request=prepare --> PREPARING -- request=page-out --> PREPARED
 *	 ^ ^                            |                                 |
 *	 | +------- request=cancel -----+---------------------------------+
 *	 |                              | suspend: .freeze
 *	 |                              v
 *	 +-------- .thaw ------------ FROZEN -- .restore --> POSTCOPY
 *	 |                                                      |
 *	 +---------- COMPLETE <---------------------------------+
 *
 * In PREPARED the guest goes on paging out for a while: memx_pageout_hold().
 *
 * FAILED is IDLE after something has gone wrong: the guest is whole, and runs
 * where it did. A suspend in any state but PREPARING and PREPARED is none of
 * this file's business.
 *
 * .freeze, .thaw and .restore are those of a platform device: the kernel calls
 * them when the host suspends the guest, with all tasks frozen. .freeze never
 * fails: what goes wrong there is undone, and the guest is suspended with all
 * its memory; the host sees that no frames are published.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

#include <xen/xen-ops.h>

#include "memx.h"

/* Pages that get frames before the guest goes on, beside the kernel's reserves. */
#define MEMX_RESUME_PAGES 1024
/* How often the host is told how far a post-copy has come. */
#define MEMX_TELL_INTERVAL (HZ / 2)

/* XenStore and the platform device are the guest's, so there is one device. */
static struct memx_device *memx_pseudo_device;
static DEFINE_MUTEX(memx_pseudo_lock);

/**
 * memx_phase_name - a phase's name, as XenStore and sysfs show it
 * @phase: the phase
 *
 * Return: the name.
 */
const char *memx_phase_name(enum memx_phase phase)
{
	static const char *const names[] = {
		[MEMX_PHASE_IDLE] = "idle",
		[MEMX_PHASE_PREPARING] = "preparing",
		[MEMX_PHASE_PREPARED] = "prepared",
		[MEMX_PHASE_FROZEN] = "frozen",
		[MEMX_PHASE_POSTCOPY] = "postcopy",
		[MEMX_PHASE_COMPLETE] = "complete",
		[MEMX_PHASE_FAILED] = "failed",
	};

	return names[phase];
}

/**
 * memx_pseudo_progress - tell the host how much has been paged out
 * @dev: the device
 */
void memx_pseudo_progress(struct memx_device *dev)
{
	memx_xenstore_write("used", "%llu", memx_slots_used(dev));
	memx_xenstore_write("released", "%llu",
			    READ_ONCE(dev->pseudo->balloon.count));
}

/* The state comes last: who sees it sees what belongs to it. */
static void memx_pseudo_tell(struct memx_device *dev)
{
	memx_pseudo_progress(dev);
	memx_xenstore_write("state", "%s",
			    memx_phase_name(READ_ONCE(dev->pseudo->phase)));
}

static void memx_pseudo_enter(struct memx_device *dev, enum memx_phase phase)
{
	WRITE_ONCE(dev->pseudo->phase, phase);
	memx_pseudo_tell(dev);
}

static void memx_pseudo_error(struct memx_device *dev, const char *format,
			      va_list *args)
{
	struct va_format text = { .fmt = format, .va = args };

	pr_err("memx%d: migration: %pV\n", dev->id, &text);
	memx_xenstore_write("error", "%pV", &text);
}

/**
 * memx_pseudo_refuse - answer a request of the host's with an error
 * @dev: the device
 * @format: why, as for printf()
 *
 * What is under way goes on.
 */
void memx_pseudo_refuse(struct memx_device *dev, const char *format, ...)
{
	enum memx_phase phase = READ_ONCE(dev->pseudo->phase);
	va_list args;

	va_start(args, format);
	memx_pseudo_error(dev, format, &args);
	va_end(args);
	if (phase == MEMX_PHASE_IDLE || phase == MEMX_PHASE_COMPLETE)
		WRITE_ONCE(dev->pseudo->phase, MEMX_PHASE_FAILED);
	memx_pseudo_tell(dev);
}

/* What was under way has come to nothing. */
static void memx_pseudo_fail(struct memx_device *dev, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	memx_pseudo_error(dev, format, &args);
	va_end(args);
	memx_pseudo_enter(dev, MEMX_PHASE_FAILED);
}

/**
 * memx_pseudo_prepare - prepare for a migration
 * @dev: the device
 * @migration: what the host has said about it
 *
 * Lists what cannot be paged out, for the host to send ahead. It learns from
 * XenStore how that went.
 */
void memx_pseudo_prepare(struct memx_device *dev,
			 const struct memx_migration *migration)
{
	struct memx_pseudo *pseudo = dev->pseudo;
	int ret;

	switch (READ_ONCE(pseudo->phase)) {
	case MEMX_PHASE_IDLE:
	case MEMX_PHASE_COMPLETE:
	case MEMX_PHASE_FAILED:
		break;
	default:
		memx_pseudo_refuse(dev, "another migration is under way");
		return;
	}
	if (memx_slots_missing(dev)) {
		memx_pseudo_refuse(dev, "%llu pages of the last migration are still missing",
				   memx_slots_missing(dev));
		return;
	}
	ret = dev->transport->aim(dev, migration->server);
	if (ret) {
		memx_pseudo_refuse(dev, "no way over %s to the server %s: error %d",
				   dev->transport->name, migration->server,
				   ret);
		return;
	}
	memx_xenstore_remove("error");
	memx_xenstore_remove("resident");
	pseudo->migration = *migration;
	if (memx_frames_alloc(&pseudo->tables, dev->slots)) {
		memx_pseudo_refuse(dev, "out of memory for the list of frames");
		return;
	}
	memx_resident_publish(dev);
	memx_balloon_hold(&pseudo->balloon);
	memx_pool_resize(dev, true);
	memx_pseudo_enter(dev, MEMX_PHASE_PREPARING);
}

/* What has been prepared is undone. */
static void memx_pseudo_undo(struct memx_device *dev)
{
	struct memx_pseudo *pseudo = dev->pseudo;

	memx_pageout_stop(&pseudo->pageout);
	memx_resident_forget(dev);
	put_pages_list(&pseudo->tables);
	memx_pool_resize(dev, false);
	memx_balloon_drain(&pseudo->balloon);
}

/**
 * memx_pseudo_page_out - page out while the guest runs
 * @dev: the device, prepared for a migration
 *
 * Returns at once; the host learns from XenStore how it goes. It asks for this
 * once everything else is done that takes time: to keep out what programs use
 * costs them the more the longer it lasts.
 */
void memx_pseudo_page_out(struct memx_device *dev)
{
	struct memx_pseudo *pseudo = dev->pseudo;
	int ret;

	if (READ_ONCE(pseudo->phase) != MEMX_PHASE_PREPARING ||
	    pseudo->pageout.task) {
		memx_pseudo_refuse(dev, "no migration waits for that");
		return;
	}
	ret = memx_pageout_start(&pseudo->pageout,
				 pseudo->migration.prepare_s);
	if (ret) {
		memx_pseudo_undo(dev);
		memx_pseudo_fail(dev, "cannot start to page out: error %d",
				 ret);
	}
}

/**
 * memx_pseudo_prepared - paging out has ended by itself
 * @dev: the device
 */
void memx_pseudo_prepared(struct memx_device *dev)
{
	if (cmpxchg(&dev->pseudo->phase, MEMX_PHASE_PREPARING,
		    MEMX_PHASE_PREPARED) == MEMX_PHASE_PREPARING)
		memx_pseudo_tell(dev);
}

/**
 * memx_pseudo_cancel - do not migrate after all
 * @dev: the device
 *
 * Only before the guest is suspended; later, the host has it resume.
 */
void memx_pseudo_cancel(struct memx_device *dev)
{
	switch (READ_ONCE(dev->pseudo->phase)) {
	case MEMX_PHASE_PREPARING:
	case MEMX_PHASE_PREPARED:
		memx_pseudo_undo(dev);
		memx_pseudo_enter(dev, MEMX_PHASE_IDLE);
		break;
	case MEMX_PHASE_POSTCOPY:
		memx_pseudo_refuse(dev, "the guest runs at the target already");
		break;
	default:
		memx_pseudo_enter(dev, MEMX_PHASE_IDLE);
	}
}

/* Hide or unhide a batch of pages. */
typedef int (*memx_batch_fn)(struct page **pages, unsigned int count);

static int memx_pseudo_batch(struct memx_pseudo *pseudo, unsigned int *count,
			     struct page *page, memx_batch_fn function)
{
	int ret = 0;

	if (page)
		pseudo->batch[(*count)++] = page;
	if (*count == MEMX_XEN_BATCH_PAGES || (!page && *count)) {
		ret = function(pseudo->batch, *count);
		*count = 0;
	}
	return ret;
}

/* Every page that is to be hidden, or is: of slots, and of the frame tree. */
static int memx_pseudo_for_hidden(struct memx_device *dev, bool hidden,
				  memx_batch_fn function)
{
	struct memx_pseudo *pseudo = dev->pseudo;
	unsigned int count = 0;
	struct page *page;
	int ret = 0;
	u64 slot;

	for (slot = 0; slot < dev->slots && !ret; slot++) {
		page = memx_slot_page(dev, slot);
		if (page && !!page_private(page) == hidden)
			ret = memx_pseudo_batch(pseudo, &count, page, function);
	}
	list_for_each_entry(page, &pseudo->tables, lru)
		if (!ret && !!page_private(page) == hidden)
			ret = memx_pseudo_batch(pseudo, &count, page, function);
	return ret ?: memx_pseudo_batch(pseudo, &count, NULL, function);
}

/* Spare pages of the device are free pages, and go as those do. */
static void memx_pseudo_give_pool(struct memx_device *dev)
{
	LIST_HEAD(pages);
	struct page *page;

	memx_pool_close(dev, &pages);
	list_for_each_entry(page, &pages, lru)
		clear_page(page_address(page));
	memx_balloon_give(&dev->pseudo->balloon, &pages);
}

static void memx_pseudo_unfreeze(struct memx_device *dev)
{
	struct memx_pseudo *pseudo = dev->pseudo;

	memx_slots_seal(dev, false);
	memx_pool_resize(dev, false);
	memx_pool_open(dev);
	memx_balloon_thaw(&pseudo->balloon);
	memx_balloon_drain(&pseudo->balloon);
	blk_mq_unquiesce_queue(dev->disk->queue);
}

static void memx_pseudo_unhide(struct memx_device *dev)
{
	int ret = memx_pseudo_for_hidden(dev, true, memx_xen_unhide);

	/* These pages would be lost, which no guest survives. */
	if (ret)
		panic("memx%d: frames cannot be put back: error %d\n", dev->id,
		      ret);
	put_pages_list(&dev->pseudo->tables);
}

static struct page *memx_pseudo_slot_page(void *data, u64 slot)
{
	return memx_slot_page(data, slot);
}

static int memx_pseudo_freeze(struct device *device)
{
	struct memx_device *dev = memx_pseudo_device;
	struct memx_pseudo *pseudo = dev->pseudo;
	unsigned long began = jiffies, squeezed;
	struct page *root;
	u64 generation, writes, left;
	int ret;

	if (READ_ONCE(pseudo->phase) != MEMX_PHASE_PREPARING &&
	    READ_ONCE(pseudo->phase) != MEMX_PHASE_PREPARED)
		return 0;
	memx_pageout_stop(&pseudo->pageout);
	memx_resident_forget(dev);
	memx_balloon_freeze(&pseudo->balloon);

	writes = memx_stat_sum(dev, MEMX_WRITES);
	memx_exchange_set(dev, true);
	memx_pageout_frozen(&pseudo->pageout);
	/* Reclaim may be in other tasks too; none is in a request after this. */
	blk_mq_quiesce_queue(dev->disk->queue);
	memx_exchange_set(dev, false);
	memx_late_end(dev);
	left = memx_exchange_settle(dev);
	squeezed = jiffies;

	memx_slots_seal(dev, true);
	root = memx_frames_build(&pseudo->tables, dev->slots,
				 memx_pseudo_slot_page, dev, &generation);
	pseudo->migration.incarnation = generation;
	/* Also of the root, which has none when it is hidden. */
	memx_xenstore_write("root", "%lx %llx", memx_xen_mfn(root), generation);
	memx_pseudo_give_pool(dev);
	ret = memx_pseudo_for_hidden(dev, false, memx_xen_hide);
	if (ret) {
		memx_xenstore_remove("root");
		memx_pseudo_unhide(dev);
		memx_pseudo_unfreeze(dev);
		memx_pseudo_fail(dev, "frames cannot be hidden: error %d", ret);
		return 0;
	}
	/* Not by the slots in use: one whose page was read back holds it still. */
	writes = memx_stat_sum(dev, MEMX_WRITES) - writes;
	memx_xenstore_write("slots_frozen", "%llu", writes);
	memx_xenstore_write("freeze_ms", "%u",
			    jiffies_to_msecs(jiffies - began));
	memx_pseudo_enter(dev, MEMX_PHASE_FROZEN);
	pseudo->reserves = memx_pageout_reserves(&pseudo->pageout);
	pr_info("memx%d: frozen: %llu slots hold a page, %llu of them written in the freeze, %llu pages stay behind; %llu pages are given back, %llu of them reserves; %u ms to page out, %u ms to hide\n",
		dev->id, memx_slots_used(dev), writes,
		left, pseudo->balloon.count, pseudo->reserves,
		jiffies_to_msecs(squeezed - began),
		jiffies_to_msecs(jiffies - squeezed));
	return 0;
}

/*
 * The guest runs again, here or on another host. Other devices are resumed
 * before this one, and need memory for that.
 */
static int memx_pseudo_resumed(struct notifier_block *block,
			       unsigned long unused, void *unused_too)
{
	struct memx_pseudo *pseudo = container_of(block, struct memx_pseudo,
						  resumed);

	if (READ_ONCE(pseudo->phase) == MEMX_PHASE_FROZEN)
		memx_balloon_take(&pseudo->balloon,
				  pseudo->reserves + MEMX_RESUME_PAGES);
	return NOTIFY_OK;
}

/* The suspend was cancelled, or the guest goes on here after it. */
static int memx_pseudo_thaw(struct device *device)
{
	struct memx_device *dev = memx_pseudo_device;

	if (READ_ONCE(dev->pseudo->phase) != MEMX_PHASE_FROZEN)
		return 0;
	memx_xenstore_remove("root");
	memx_pseudo_unhide(dev);
	memx_pseudo_unfreeze(dev);
	memx_pseudo_enter(dev, MEMX_PHASE_IDLE);
	pr_info("memx%d: the migration was cancelled: %llu slots hold a page\n",
		dev->id, memx_slots_used(dev));
	return 0;
}

/* Pages of slots are at the source now; their and the tables' PFNs are bare. */
static void memx_pseudo_depart(struct memx_device *dev)
{
	struct memx_pseudo *pseudo = dev->pseudo;
	LIST_HEAD(bare);
	struct page *page;
	u64 slot, count = 0;

	for (slot = 0; slot < dev->slots; slot++) {
		page = memx_slot_page(dev, slot);
		if (!page || !page_private(page))
			continue;
		list_add(&memx_slot_depart(dev, slot)->lru, &bare);
		count++;
	}
	list_for_each_entry(page, &pseudo->tables, lru)
		count++;
	list_splice_tail_init(&pseudo->tables, &bare);
	list_for_each_entry(page, &bare, lru)
		set_page_private(page, 0);
	memx_balloon_adopt(&pseudo->balloon, &bare, count);
}

/* The guest goes on on another host. */
static int memx_pseudo_restore(struct device *device)
{
	struct memx_device *dev = memx_pseudo_device;
	struct memx_pseudo *pseudo = dev->pseudo;
	const struct memx_migration *migration = &pseudo->migration;

	memx_xenstore_introduce(dev);
	if (READ_ONCE(pseudo->phase) != MEMX_PHASE_FROZEN) {
		memx_pseudo_tell(dev);
		return 0;
	}
	memx_pseudo_depart(dev);
	if (memx_postcopy_begin(dev, migration->strategy, migration->rate))
		memx_postcopy_begin(dev, "", migration->rate);
	memx_session_start(dev, migration);
	memx_pseudo_unfreeze(dev);
	memx_pseudo_enter(dev, MEMX_PHASE_POSTCOPY);
	queue_delayed_work(system_unbound_wq, &pseudo->work, 0);
	pr_info("memx%d: moved: %llu pages are missing, and %llu pages need frames\n",
		dev->id, memx_slots_missing(dev),
		READ_ONCE(pseudo->balloon.count));
	return 0;
}

static void memx_pseudo_tell_postcopy(struct memx_device *dev)
{
	struct memx_postcopy_figures figures;

	memx_postcopy_figures(dev, &figures);
	memx_xenstore_write("missing", "%llu", figures.missing);
	memx_xenstore_write("pushed", "%llu", figures.pushed);
	memx_xenstore_write("fetched", "%llu", figures.fetched);
	memx_xenstore_write("network_faults", "%llu", figures.network_faults);
	memx_xenstore_write("minor_faults", "%llu", figures.minor_faults);
	memx_xenstore_write("unused", "%llu", figures.unused);
	memx_xenstore_write("longest_wait_us", "%llu", figures.longest_wait_us);
}

/* Follow a post-copy to its end. What it has lost it still tries to get. */
static void memx_pseudo_work(struct work_struct *work)
{
	struct memx_pseudo *pseudo = container_of(to_delayed_work(work),
						  struct memx_pseudo, work);
	struct memx_device *dev = pseudo->dev;
	bool lost = READ_ONCE(dev->postcopy.phase) == MEMX_POSTCOPY_FAILED;
	bool silent = READ_ONCE(dev->state) == MEMX_FAILED;
	bool failed = READ_ONCE(pseudo->phase) == MEMX_PHASE_FAILED;

	memx_pseudo_tell_postcopy(dev);
	if (!memx_postcopy_is_on(dev)) {
		memx_session_finish(dev);
		memx_pseudo_enter(dev, failed ? MEMX_PHASE_FAILED :
						MEMX_PHASE_COMPLETE);
		return;
	}
	if (!failed && lost)
		memx_pseudo_fail(dev, "the source has lost %llu pages that had not come",
				 memx_slots_missing(dev));
	else if (!failed && silent)
		memx_pseudo_fail(dev, "the source does not answer, and %llu pages have not come",
				 memx_slots_missing(dev));
	else if (failed && !lost && !silent)
		memx_pseudo_enter(dev, MEMX_PHASE_POSTCOPY);
	queue_delayed_work(system_unbound_wq, &pseudo->work,
			   MEMX_TELL_INTERVAL);
}

static const struct dev_pm_ops memx_pseudo_pm = {
	.freeze = memx_pseudo_freeze,
	.thaw = memx_pseudo_thaw,
	.restore = memx_pseudo_restore,
};

static struct platform_driver memx_pseudo_driver = {
	.driver = {
		.name = "memx",
		.pm = &memx_pseudo_pm,
	},
};

/**
 * memx_pseudo_begin - let the host migrate this guest
 * @dev: the device, with a disk, for pseudo-paging
 *
 * Return: 0; -EEXIST when there is such a device already; or why not.
 */
int memx_pseudo_begin(struct memx_device *dev)
{
	struct memx_pseudo *pseudo;
	int ret;

	mutex_lock(&memx_pseudo_lock);
	ret = memx_pseudo_device ? -EEXIST : 0;
	if (!ret)
		memx_pseudo_device = dev;
	mutex_unlock(&memx_pseudo_lock);
	if (ret) {
		pr_err("memx%d: there is a pseudo-paging device without a region already\n",
		       dev->id);
		return ret;
	}
	ret = -ENOMEM;
	pseudo = kvzalloc(sizeof(*pseudo), GFP_KERNEL);
	if (!pseudo)
		goto forget;
	pseudo->dev = dev;
	INIT_LIST_HEAD(&pseudo->tables);
	INIT_LIST_HEAD(&pseudo->resident);
	INIT_DELAYED_WORK(&pseudo->work, memx_pseudo_work);
	memx_gather_init(&pseudo->gather);
	memx_pageout_init(&pseudo->pageout, dev);
	ret = memx_balloon_create(&pseudo->balloon, dev);
	if (ret)
		goto free;
	WRITE_ONCE(dev->pseudo, pseudo);
	ret = platform_driver_register(&memx_pseudo_driver);
	if (ret)
		goto balloon;
	pseudo->platform = platform_device_register_simple("memx",
				PLATFORM_DEVID_NONE, NULL, 0);
	ret = PTR_ERR_OR_ZERO(pseudo->platform);
	if (ret)
		goto driver;
	pseudo->resumed.notifier_call = memx_pseudo_resumed;
	xen_resume_notifier_register(&pseudo->resumed);
	memx_xenstore_introduce(dev);
	memx_pseudo_tell(dev);
	ret = memx_xenstore_begin(dev);
	if (ret)
		goto platform;
	return 0;

platform:
	xen_resume_notifier_unregister(&pseudo->resumed);
	platform_device_unregister(pseudo->platform);
driver:
	platform_driver_unregister(&memx_pseudo_driver);
balloon:
	memx_balloon_destroy(&pseudo->balloon);
free:
	dev->pseudo = NULL;
	kvfree(pseudo);
forget:
	memx_pseudo_device = NULL;
	return ret;
}

/**
 * memx_pseudo_end - the host can migrate this guest no more
 * @dev: the device, whose disk nobody can use any more
 */
void memx_pseudo_end(struct memx_device *dev)
{
	struct memx_pseudo *pseudo = dev->pseudo;

	if (!pseudo)
		return;
	memx_xenstore_end();
	cancel_delayed_work_sync(&pseudo->work);
	xen_resume_notifier_unregister(&pseudo->resumed);
	platform_device_unregister(pseudo->platform);
	platform_driver_unregister(&memx_pseudo_driver);
	memx_pageout_stop(&pseudo->pageout);
	memx_resident_forget(dev);
	put_pages_list(&pseudo->tables);
	memx_balloon_destroy(&pseudo->balloon);
	dev->pseudo = NULL;
	kvfree(pseudo);
	memx_pseudo_device = NULL;
}
