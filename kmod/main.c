// SPDX-License-Identifier: GPL-2.0
/*
 * The module, and the list of devices.
 */
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/string.h>

#include "memx.h"

/* So long a name may still be in use by a device that is going. */
#define MEMX_GOING_WAIT (2 * HZ)

LIST_HEAD(memx_devices);
DEFINE_MUTEX(memx_devices_lock);
DECLARE_WAIT_QUEUE_HEAD(memx_device_gone);

/* Devices whose memory is not free yet: their code must stay. */
static atomic_t memx_devices_alive;

/* Who has what a new device wants. */
static struct memx_device *memx_devices_twin(const struct memx_device *dev)
{
	struct memx_device *other;

	list_for_each_entry(other, &memx_devices, node) {
		if (other->id == dev->params.id)
			return other;
		if (dev->params.region[0] &&
		    !strcmp(other->params.region, dev->params.region) &&
		    !strcmp(other->params.link, dev->params.link))
			return other;
	}
	return NULL;
}

static bool memx_devices_taken(const struct memx_device *dev, bool *going)
{
	struct memx_device *twin;

	mutex_lock(&memx_devices_lock);
	twin = memx_devices_twin(dev);
	*going = twin && READ_ONCE(twin->state) == MEMX_DETACHING;
	mutex_unlock(&memx_devices_lock);
	return twin;
}

static int memx_devices_lowest_id(void)
{
	struct memx_device *other;
	int id = 0;
	bool taken;

	do {
		taken = false;
		list_for_each_entry(other, &memx_devices, node)
			if (other->id == id)
				taken = true;
		id += taken;
	} while (taken);
	return id;
}

/**
 * memx_devices_add - enter a device, and give it its number
 * @dev: the device
 *
 * Return: 0; -EEXIST when the number, or the region on that link, is taken;
 * -EINTR.
 */
int memx_devices_add(struct memx_device *dev)
{
	unsigned long end = jiffies + MEMX_GOING_WAIT;
	bool going;
	int ret = 0;

	atomic_inc(&memx_devices_alive);

	/* A device that is going will be gone in a moment, unless it is open. */
	while (memx_devices_taken(dev, &going)) {
		if (!going || time_after(jiffies, end))
			return -EEXIST;
		if (wait_event_interruptible_timeout(memx_device_gone,
				!memx_devices_taken(dev, &going), HZ / 4) < 0)
			return -EINTR;
	}
	mutex_lock(&memx_devices_lock);
	if (memx_devices_twin(dev)) {
		ret = -EEXIST;
	} else {
		dev->id = dev->params.id >= 0 ? dev->params.id :
						memx_devices_lowest_id();
		if (dev->id > MEMX_MAX_ID)
			ret = -EEXIST;
	}
	if (!ret)
		list_add_tail(&dev->node, &memx_devices);
	mutex_unlock(&memx_devices_lock);
	return ret;
}

/**
 * memx_devices_remove - a device's number is free again
 * @dev: the device
 */
void memx_devices_remove(struct memx_device *dev)
{
	mutex_lock(&memx_devices_lock);
	list_del_init(&dev->node);
	mutex_unlock(&memx_devices_lock);
	wake_up_all(&memx_device_gone);
}

/**
 * memx_devices_freed - the memory of a device is free
 *
 * To be called once for each memx_devices_add(), whatever that returned.
 */
void memx_devices_freed(void)
{
	atomic_dec(&memx_devices_alive);
	wake_up_all(&memx_device_gone);
}

#ifdef CONFIG_XEN_PV
static bool selftest;
module_param(selftest, bool, 0444);
MODULE_PARM_DESC(selftest,
		 "Test the exchange of frames when loaded; loading fails if the test does. A debug build does so in any Xen PV guest");
#endif

static int __init memx_init(void)
{
	int ret;

#ifdef CONFIG_XEN_PV
	/* A debug build tests wherever there is something to test. */
	if (selftest || (IS_ENABLED(MEMX_DEBUG) && memx_xen_guest())) {
		ret = memx_selftest();
		if (ret)
			return ret;
	}
#endif
	ret = memx_destroyer_create();
	if (ret)
		return ret;
	ret = memx_links_init();
	if (ret)
		goto destroyer;
	memx_debugfs_init();
	ret = memx_class_create();
	if (ret)
		goto links;
	return 0;

links:
	memx_debugfs_exit();
	memx_links_exit();
destroyer:
	memx_destroyer_destroy();
	return ret;
}

/* An open disk holds the module, so none is open here, nor will be. */
static void __exit memx_exit(void)
{
	struct memx_device *dev;

	/* No device is being made after this. */
	memx_class_destroy();
	/* Nor, closed after a detach by force, still going. */
	memx_destroyer_flush();
	while ((dev = list_first_entry_or_null(&memx_devices,
					       struct memx_device, node)))
		if (memx_device_detach(dev, true) == 1)
			memx_device_destroy(dev);
	wait_event(memx_device_gone, !atomic_read(&memx_devices_alive));
	memx_debugfs_exit();
	memx_links_exit();
	memx_destroyer_destroy();
}

module_init(memx_init);
module_exit(memx_exit);

MODULE_DESCRIPTION("Another machine's memory as a block device, over Ethernet");
MODULE_AUTHOR("memx developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(MEMX_VERSION);
