// SPDX-License-Identifier: GPL-2.0
/*
 * A device's life.
 *
 * Being made, a device is in the list first, so that its name and its region
 * are taken; the disk comes last, when there is a session to serve it.
 *
 * Going, in this order, each step relying on those before:
 *  1. State MEMX_DETACHING, under the disk's open_mutex: nobody opens the disk
 *     any more, requests fail, no session is opened or kept.
 *  2. The session's work stops.
 *  3. Outstanding requests fail.
 *  4. sysfs and debugfs directories go; nobody looks at the device any more.
 *  5. The disk goes. It waits for requests, which all fail at once. After it,
 *     what a migration would need.
 *  6. The server is told.
 *  7. The link is left: no frame comes any more.
 *  8. Timer, tags, workqueue; the emergency reserves are given back.
 *  9. The name is free.
 * 10. The last reference goes: the disk's, or that of the sysfs file which
 *     asked for all this.
 *
 * By force while the disk is open, steps 1 to 3 and 6 come at once, and the
 * rest when the last opener closes it.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "memx.h"

static struct workqueue_struct *memx_destroyer;

/**
 * memx_destroyer_create - prepare to destroy devices as they are closed
 *
 * Return: 0 or -ENOMEM.
 */
int memx_destroyer_create(void)
{
	memx_destroyer = alloc_workqueue("memx_destroyer", WQ_UNBOUND, 0);
	return memx_destroyer ? 0 : -ENOMEM;
}

/**
 * memx_destroyer_flush - wait for devices that are being destroyed
 */
void memx_destroyer_flush(void)
{
	flush_workqueue(memx_destroyer);
}

/**
 * memx_destroyer_destroy - the end of memx_destroyer_create()
 */
void memx_destroyer_destroy(void)
{
	destroy_workqueue(memx_destroyer);
}

static void memx_device_release_memory(struct kref *refs)
{
	struct memx_device *dev = container_of(refs, struct memx_device, refs);

	memx_transport_left(dev);
	if (dev->padding)
		put_page(dev->padding);
	free_percpu(dev->percpu);
	/* The token is not for the next owner of this memory. */
	kfree_sensitive(dev);
	memx_devices_freed();
}

/**
 * memx_device_put - drop a reference
 * @dev: the device
 */
void memx_device_put(struct memx_device *dev)
{
	kref_put(&dev->refs, memx_device_release_memory);
}

static void memx_device_destroy_work(struct work_struct *work)
{
	memx_device_destroy(container_of(work, struct memx_device, destroy));
}

static struct memx_device *memx_device_alloc(const struct memx_params *params,
					     struct memx_transport *transport)
{
	struct memx_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	unsigned int i;

	if (!dev)
		return NULL;
	dev->params = *params;
	dev->transport = transport;
	dev->timeout_s = params->timeout_s;
	dev->queue_depth = params->queue_depth;
	dev->slots = params->slots;
	memcpy(dev->region, params->region, sizeof(dev->region));
	memcpy(dev->token, params->token, sizeof(dev->token));
	ether_addr_copy(dev->server, params->server);
	kref_init(&dev->refs);
	INIT_LIST_HEAD(&dev->node);
	INIT_WORK(&dev->destroy, memx_device_destroy_work);
	for (i = 0; i < ARRAY_SIZE(dev->batches); i++) {
		spin_lock_init(&dev->batches[i].lock);
		memx_burst_init(&dev->batches[i].burst);
	}
	memx_session_init(dev);
	dev->percpu = alloc_percpu(struct memx_percpu);
	dev->padding = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!dev->percpu || !dev->padding) {
		if (dev->padding)
			put_page(dev->padding);
		free_percpu(dev->percpu);
		kfree(dev);
		return NULL;
	}
	atomic_inc(&transport->devices);
	return dev;
}

/* The link is left, with what lies in batches for it. */
static void memx_device_leave(struct memx_device *dev)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(dev->batches); i++)
		memx_burst_drop(dev, &dev->batches[i].burst);
	dev->transport->leave(dev);
}

static int memx_device_make(const struct memx_params *params,
			    struct memx_transport *transport)
{
	struct memx_device *dev = memx_device_alloc(params, transport);
	char server[MEMX_SERVER_NAME_BYTES];
	int ret;

	if (!dev)
		return -ENOMEM;
	ret = memx_devices_add(dev);
	if (ret)
		goto put;
	ret = -ENOMEM;
	dev->workqueue = alloc_ordered_workqueue("memx%d", WQ_MEM_RECLAIM,
						 dev->id);
	if (!dev->workqueue)
		goto remove;
	ret = memx_requests_create(dev);
	if (ret)
		goto free_workqueue;
	ret = memx_memalloc_get();
	if (ret)
		goto free_requests;
	ret = dev->transport->join(dev, true);
	if (ret)
		goto put_memalloc;
	if (params->region[0])
		ret = memx_session_open(dev);
	if (ret)
		goto leave;
	if (params->pseudo) {
		dev->copies = params->region[0];
		ret = memx_slots_create(dev, dev->slots) ?:
		      memx_late_create(dev) ?: memx_push_create(dev);
		if (ret)
			goto close;
	}
	ret = memx_block_create(dev);
	if (ret)
		goto close;
	ret = memx_sysfs_add(dev);
	if (!ret && memx_is_local(dev) && memx_xen_guest())
		ret = memx_pseudo_begin(dev);
	if (ret) {
		/* There is a disk, which somebody may have opened. */
		if (memx_device_detach(dev, true) == 1)
			memx_device_destroy(dev);
		return ret;
	}
	memx_debugfs_add(dev);
	dev->transport->server_name(dev, server, sizeof(server));
	if (memx_is_local(dev))
		pr_info("memx%d: pseudo-paging: %llu pages, %s\n", dev->id,
			dev->slots, dev->pseudo ?
			"until this guest is migrated" :
			"which stay here: this is no Xen PV guest that could be migrated");
	else
		pr_info("memx%d: region %s at %s over %s: %llu pages, MTU %u, %u requests\n",
			dev->id, dev->region, server, dev->params.link,
			dev->slots, dev->mtu, dev->queue_depth);
	return 0;

close:
	spin_lock_bh(&dev->state_lock);
	WRITE_ONCE(dev->state, MEMX_DETACHING);
	spin_unlock_bh(&dev->state_lock);
	memx_session_stop(dev);
	memx_session_close(dev);
leave:
	memx_device_leave(dev);
put_memalloc:
	memx_memalloc_put();
	memx_push_destroy(dev);
	memx_late_destroy(dev);
	memx_slots_destroy(dev);
free_requests:
	memx_requests_destroy(dev);
free_workqueue:
	destroy_workqueue(dev->workqueue);
remove:
	memx_devices_remove(dev);
put:
	memx_device_put(dev);
	return ret;
}

/**
 * memx_device_create - make a device
 * @params: how
 *
 * Return: 0, when the disk is there; or why not, as sysfs-class-memx lists.
 */
int memx_device_create(const struct memx_params *params)
{
	struct memx_transport *transport = memx_transport_get(params->link);
	int ret;

	if (!transport) {
		pr_err("memx: attach: no transport for link %s, or its module cannot be loaded\n",
		       params->link);
		return -ENODEV;
	}
	ret = memx_device_make(params, transport);
	/* From here on open disks keep the module. */
	memx_transport_put(transport);
	return ret;
}

/**
 * memx_device_detach - begin to detach a device
 * @dev: the device
 * @force: also while it is open
 *
 * Return: 1 when the caller is the one to call memx_device_destroy(); 0 when
 * somebody else is, or will be; -EBUSY while the disk is open.
 */
int memx_device_detach(struct memx_device *dev, bool force)
{
	bool opened;
	int ret = 0;

	mutex_lock(&dev->disk->open_mutex);
	opened = disk_openers(dev->disk);
	if (opened && !force) {
		ret = -EBUSY;
	} else if (dev->state != MEMX_DETACHING) {
		spin_lock_bh(&dev->state_lock);
		WRITE_ONCE(dev->state, MEMX_DETACHING);
		spin_unlock_bh(&dev->state_lock);
		if (opened)
			dev->forced = true;
		else if (!test_and_set_bit(0, &dev->going))
			ret = 1;
	} else {
		opened = false;
	}
	mutex_unlock(&dev->disk->open_mutex);
	if (ret || !opened)
		return ret;

	memx_session_stop(dev);
	memx_requests_fail(dev);
	memx_session_close(dev);
	return 0;
}

/**
 * memx_device_destroy - detach a device
 * @dev: the device, in MEMX_DETACHING and not open; may be gone afterwards
 */
void memx_device_destroy(struct memx_device *dev)
{
	pr_info("memx%d: detached\n", dev->id);
	memx_session_stop(dev);
	memx_requests_fail(dev);
	memx_debugfs_remove(dev);
	memx_sysfs_remove(dev);
	memx_block_destroy(dev);
	memx_pseudo_end(dev);
	memx_session_close(dev);
	memx_device_leave(dev);
	memx_push_destroy(dev);
	memx_late_destroy(dev);
	memx_slots_destroy(dev);
	memx_requests_destroy(dev);
	destroy_workqueue(dev->workqueue);
	memx_memalloc_put();
	memx_devices_remove(dev);
	put_disk(dev->disk);
}

/**
 * memx_device_open - somebody opens the disk; under its open_mutex
 * @dev: the device
 *
 * A device that is detached by force can be opened until its last opener
 * closes it: swapoff does so to find what to stop using.
 *
 * Return: 0, or -ENXIO when the device is being destroyed, or its transport's
 * module removed.
 */
int memx_device_open(struct memx_device *dev)
{
	if (test_bit(0, &dev->going) || !try_module_get(dev->transport->owner))
		return -ENXIO;
	return 0;
}

/**
 * memx_device_release - somebody closes the disk; under its open_mutex
 * @dev: the device
 */
void memx_device_release(struct memx_device *dev)
{
	if (dev->forced && !disk_openers(dev->disk) &&
	    !test_and_set_bit(0, &dev->going))
		queue_work(memx_destroyer, &dev->destroy);
	module_put(dev->transport->owner);
}
