// SPDX-License-Identifier: GPL-2.0
/*
 * Network devices: who is on them, and what happens to them.
 *
 * A link is there while any memx device is on it, and holds the one hook for
 * all of them. When its network device goes, the link goes first, so that
 * nobody has to wait for a reference of ours; the memx devices stay and look
 * for a network device of that name.
 */
#include <linux/if_arp.h>
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/rculist.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/sock.h>

#include "memx.h"

static LIST_HEAD(memx_links);
static DEFINE_MUTEX(memx_links_lock);

static DEFINE_MUTEX(memx_memalloc_lock);
static struct socket *memx_memalloc_socket;
static unsigned int memx_memalloc_users;

/**
 * memx_memalloc_get - let network buffers come from the emergency reserves
 *
 * That is a switch for the whole machine, and it is on while any socket has
 * SOCK_MEMALLOC. This socket is never bound and carries nothing.
 *
 * Return: 0 or why there is no socket.
 */
int memx_memalloc_get(void)
{
	int ret = 0;

	mutex_lock(&memx_memalloc_lock);
	if (!memx_memalloc_users) {
		ret = sock_create_kern(&init_net, PF_INET, SOCK_DGRAM,
				       IPPROTO_UDP, &memx_memalloc_socket);
		if (!ret)
			sk_set_memalloc(memx_memalloc_socket->sk);
	}
	if (!ret)
		memx_memalloc_users++;
	mutex_unlock(&memx_memalloc_lock);
	return ret;
}

/**
 * memx_memalloc_put - give back what memx_memalloc_get() got
 */
void memx_memalloc_put(void)
{
	mutex_lock(&memx_memalloc_lock);
	if (!--memx_memalloc_users) {
		sk_clear_memalloc(memx_memalloc_socket->sk);
		sock_release(memx_memalloc_socket);
		memx_memalloc_socket = NULL;
	}
	mutex_unlock(&memx_memalloc_lock);
}

/* Whether frames can be sent: it is up, and takes RMAP's shortest. */
static bool memx_netdev_usable(const struct net_device *netdev)
{
	return netif_running(netdev) && netif_carrier_ok(netdev) &&
	       netdev->mtu >= RMAP_MIN_MTU;
}

/**
 * memx_link_is_usable - whether frames can be sent now
 * @dev: the device
 *
 * Return: whether they can.
 */
bool memx_link_is_usable(struct memx_device *dev)
{
	struct net_device *netdev;
	bool usable;

	rcu_read_lock();
	netdev = rcu_dereference(dev->netdev);
	usable = netdev && memx_netdev_usable(netdev);
	rcu_read_unlock();
	return usable;
}

/**
 * memx_link_mtu - how long a frame may be behind its Ethernet header
 * @dev: the device
 *
 * Return: bytes, 0 without a network device.
 */
unsigned int memx_link_mtu(struct memx_device *dev)
{
	struct net_device *netdev;
	unsigned int mtu = 0;

	rcu_read_lock();
	netdev = rcu_dereference(dev->netdev);
	if (netdev)
		mtu = netdev->mtu;
	rcu_read_unlock();
	return mtu;
}

static struct memx_link *memx_link_find(const struct net_device *netdev)
{
	struct memx_link *link;

	list_for_each_entry(link, &memx_links, node)
		if (link->netdev == netdev)
			return link;
	return NULL;
}

static struct memx_link *memx_link_create(struct net_device *netdev)
{
	struct memx_link *link = kzalloc(sizeof(*link), GFP_KERNEL);
	int ret;

	if (!link)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&link->devices);
	link->netdev = netdev;
	link->ops.hook = memx_receive;
	link->ops.dev = netdev;
	link->ops.priv = link;
	link->ops.pf = NFPROTO_NETDEV;
	link->ops.hooknum = NF_NETDEV_INGRESS;
	/* In front of filters, like a driver's own receive path. */
	link->ops.priority = -300;
	ret = nf_register_net_hook(dev_net(netdev), &link->ops);
	if (ret) {
		kfree(link);
		return ERR_PTR(ret);
	}
	dev_hold(netdev);
	list_add(&link->node, &memx_links);
	return link;
}

/* After a grace period no hook runs, and no frame is being handed to it. */
static void memx_link_destroy(struct memx_link *link)
{
	list_del(&link->node);
	nf_unregister_net_hook(dev_net(link->netdev), &link->ops);
	synchronize_net();
	dev_put(link->netdev);
	kfree(link);
}

/* What a device that is being made needs of a network device. */
static int memx_link_require(const struct memx_device *dev,
			     const struct net_device *netdev)
{
	if (netdev->mtu < RMAP_MIN_MTU || netdev->mtu < dev->params.mtu) {
		pr_err("memx: attach: link %s has MTU %u, which must be at least %u\n",
		       dev->params.link, netdev->mtu,
		       max_t(unsigned int, RMAP_MIN_MTU, dev->params.mtu));
		return -EINVAL;
	}
	return netif_running(netdev) ? 0 : -ENETDOWN;
}

/**
 * memx_link_join - put a device on its network device
 * @dev: the device
 * @wait: whether the device is being made; when it opens a session again, it
 *	cannot wait for the network's configuration, as whoever holds the lock
 *	may wait for memory, which may wait for this session
 *
 * Return: 0; -ENODEV when there is no such network device; -EALREADY when it is
 * on one; -EAGAIN when the caller must come again; for a device being made, also
 * -ENETDOWN or -EINVAL when this one is of no use.
 */
int memx_link_join(struct memx_device *dev, bool wait)
{
	struct net_device *netdev;
	struct memx_link *link;
	int ret = 0;

	if (rcu_access_pointer(dev->netdev))
		return -EALREADY;
	if (wait)
		rtnl_lock();
	else if (!rtnl_trylock())
		return -EAGAIN;
	mutex_lock(&memx_links_lock);
	netdev = __dev_get_by_name(&init_net, dev->params.link);
	if (!netdev || netdev->reg_state != NETREG_REGISTERED) {
		ret = -ENODEV;
		goto out;
	}
	if (netdev->type != ARPHRD_ETHER) {
		ret = -EINVAL;
		goto out;
	}
	if (wait)
		ret = memx_link_require(dev, netdev);
	if (ret)
		goto out;
	link = memx_link_find(netdev);
	if (!link)
		link = memx_link_create(netdev);
	if (IS_ERR(link)) {
		ret = PTR_ERR(link);
		goto out;
	}
	dev->link = link;
	list_add_tail_rcu(&dev->on_link, &link->devices);
	rcu_assign_pointer(dev->netdev, netdev);
out:
	mutex_unlock(&memx_links_lock);
	rtnl_unlock();
	return ret;
}

/**
 * memx_link_leave - take a device off its network device
 * @dev: the device; it has no session
 *
 * Afterwards no frame is handed to it any more.
 */
void memx_link_leave(struct memx_device *dev)
{
	struct memx_link *link;

	mutex_lock(&memx_links_lock);
	link = dev->link;
	if (link) {
		dev->link = NULL;
		rcu_assign_pointer(dev->netdev, NULL);
		list_del_rcu(&dev->on_link);
		if (list_empty(&link->devices))
			memx_link_destroy(link);
		else
			synchronize_net();
	}
	mutex_unlock(&memx_links_lock);
}

/* The network device goes. Everything lets go of it before we return. */
static void memx_link_vanish(struct memx_link *link)
{
	struct memx_device *dev, *next;

	list_for_each_entry_safe(dev, next, &link->devices, on_link) {
		dev->link = NULL;
		/* In this order: no session opens on a device that is gone. */
		rcu_assign_pointer(dev->netdev, NULL);
		memx_session_lost(dev, ktime_get_ns(), "the link was removed");
		list_del_rcu(&dev->on_link);
	}
	memx_link_destroy(link);
}

static void memx_link_check(struct memx_link *link)
{
	struct memx_device *dev;

	list_for_each_entry(dev, &link->devices, on_link) {
		struct memx_session *session;
		bool fits;

		rcu_read_lock();
		session = rcu_dereference(dev->session);
		fits = !session || session->mtu <= link->netdev->mtu;
		rcu_read_unlock();
		if (!memx_netdev_usable(link->netdev))
			memx_session_lost(dev, ktime_get_ns(),
					  "the link is down");
		else if (!fits)
			memx_session_lost(dev, ktime_get_ns(),
					  "the link's MTU shrank");
		else
			memx_session_kick(dev);
	}
}

/* Under rtnl. */
static int memx_link_event(struct notifier_block *block, unsigned long event,
			   void *info)
{
	struct net_device *netdev = netdev_notifier_info_to_dev(info);
	struct memx_link *link;

	switch (event) {
	case NETDEV_UNREGISTER:
	case NETDEV_GOING_DOWN:
	case NETDEV_DOWN:
	case NETDEV_UP:
	case NETDEV_CHANGE:
	case NETDEV_CHANGEMTU:
		break;
	default:
		return NOTIFY_DONE;
	}
	mutex_lock(&memx_links_lock);
	link = memx_link_find(netdev);
	if (link) {
		if (event == NETDEV_UNREGISTER)
			memx_link_vanish(link);
		else
			memx_link_check(link);
	}
	mutex_unlock(&memx_links_lock);
	return NOTIFY_DONE;
}

static struct notifier_block memx_link_notifier = {
	.notifier_call = memx_link_event,
};

/**
 * memx_links_init - watch network devices
 *
 * Return: 0 or why not.
 */
int memx_links_init(void)
{
	return register_netdevice_notifier(&memx_link_notifier);
}

/**
 * memx_links_exit - stop watching
 */
void memx_links_exit(void)
{
	unregister_netdevice_notifier(&memx_link_notifier);
}
