// SPDX-License-Identifier: GPL-2.0
/*
 * What carries frames. Ethernet is part of this module. Others are modules of
 * their own, so that who does not use them need not have what they stand on:
 * memx_rdma needs the kernel's RDMA core, a megabyte of modules.
 *
 * Such a module may be removed while no disk that uses it is open; its devices
 * are then detached, just as they are when this module goes.
 */
#include <linux/export.h>
#include <linux/kmod.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/string.h>

#include "memx.h"

static LIST_HEAD(memx_transports);
static DEFINE_MUTEX(memx_transports_lock);

static struct memx_transport *memx_transport_find(const char *link,
						  size_t length)
{
	struct memx_transport *transport, *found = NULL;

	mutex_lock(&memx_transports_lock);
	list_for_each_entry(transport, &memx_transports, node)
		if (strlen(transport->name) == length &&
		    !memcmp(transport->name, link, length) &&
		    try_module_get(transport->owner))
			found = transport;
	mutex_unlock(&memx_transports_lock);
	return found;
}

/**
 * memx_transport_get - find the transport of a link
 * @link: the link's name: NAME:… for a transport of that name, which has its
 *	module loaded if need be, else a network device
 *
 * Return: the transport, whose module stays until memx_transport_put(); or
 * NULL when there is none.
 */
struct memx_transport *memx_transport_get(const char *link)
{
	const char *colon = strchr(link, ':');
	struct memx_transport *transport;
	size_t length = colon ? colon - link : 0;

	if (!colon) {
		__module_get(memx_ethernet.owner);
		return &memx_ethernet;
	}
	transport = memx_transport_find(link, length);
	if (!transport) {
		request_module("memx-%.*s", (int)length, link);
		transport = memx_transport_find(link, length);
	}
	return transport;
}

/**
 * memx_transport_put - its module may go, as far as the caller is concerned
 * @transport: the transport
 */
void memx_transport_put(struct memx_transport *transport)
{
	module_put(transport->owner);
}

/**
 * memx_transport_left - a device's memory goes
 * @dev: the device; uses its transport no more
 */
void memx_transport_left(struct memx_device *dev)
{
	/* memx_devices_freed() wakes who waits for it. */
	atomic_dec(&dev->transport->devices);
}

/**
 * memx_transport_register - devices can use a transport from now on
 * @transport: the transport
 *
 * Return: 0, or -EEXIST when there is one of that name.
 */
int memx_transport_register(struct memx_transport *transport)
{
	struct memx_transport *other;
	int ret = 0;

	mutex_lock(&memx_transports_lock);
	list_for_each_entry(other, &memx_transports, node)
		if (!strcmp(other->name, transport->name))
			ret = -EEXIST;
	if (!ret)
		list_add_tail(&transport->node, &memx_transports);
	mutex_unlock(&memx_transports_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(memx_transport_register);

/* One of its devices that nobody destroys yet, with a reference to the disk. */
static struct memx_device *memx_transport_device(struct memx_transport *transport)
{
	struct memx_device *dev, *found = NULL;

	mutex_lock(&memx_devices_lock);
	list_for_each_entry(dev, &memx_devices, node) {
		if (dev->transport != transport || test_bit(0, &dev->going))
			continue;
		/* In the list, it has its disk still. */
		get_device(disk_to_dev(dev->disk));
		found = dev;
		break;
	}
	mutex_unlock(&memx_devices_lock);
	return found;
}

/**
 * memx_transport_unregister - detach a transport's devices, and let no more in
 * @transport: the transport; its module is going, so none of its disks is open,
 *	nor will be, and none of its devices is being made
 */
void memx_transport_unregister(struct memx_transport *transport)
{
	struct memx_device *dev;

	mutex_lock(&memx_transports_lock);
	list_del(&transport->node);
	mutex_unlock(&memx_transports_lock);

	while ((dev = memx_transport_device(transport))) {
		struct gendisk *disk = dev->disk;

		if (memx_device_detach(dev, true) == 1)
			memx_device_destroy(dev);
		put_disk(disk);
	}
	/* Nor is one, closed after a detach by force, still going. */
	memx_destroyer_flush();
	wait_event(memx_device_gone, !atomic_read(&transport->devices));
}
EXPORT_SYMBOL_GPL(memx_transport_unregister);

/**
 * memx_burst_init - no frames yet
 * @burst: the burst
 */
void memx_burst_init(struct memx_burst *burst)
{
	INIT_LIST_HEAD(&burst->frames);
	burst->open = NULL;
}

/**
 * memx_burst_take - take frames out of another burst
 * @burst: gets them
 * @from: loses them; protected by the caller
 * @all: also the one that is not full
 */
void memx_burst_take(struct memx_burst *burst, struct memx_burst *from,
		     bool all)
{
	LIST_HEAD(full);

	if (all)
		from->open = NULL;
	if (from->open)
		list_cut_before(&full, &from->frames, from->open);
	else
		list_splice_init(&from->frames, &full);
	list_splice_tail(&full, &burst->frames);
}
