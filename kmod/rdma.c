// SPDX-License-Identifier: GPL-2.0
/*
 * RMAP over RDMA.
 *
 * A frame is one SEND on a reliable connection. What that promises (order, no
 * loss, no doubles) the session need not do itself: nothing is sent again but
 * what had no buffer, and nothing travels in fragments. States, timeouts and
 * counters are the session's.
 *
 * Where the server lets us reach a region's memory, pages are moved by RDMA
 * reads and writes, which its processor has no part in (rdma_window.c).
 *
 * No page of this machine can be reached from another one. It is gathered from
 * where it lies with the protection domain's local key, which means nothing to
 * a remote device; so there is no remote key to be guessed or to go stale, and
 * no region to register and invalidate for each request. Where a device cannot
 * read without (iWARP), each read has its own (rdma_register.c). In a post-copy
 * the server is lent buffers for pushes, and nothing else (rdma_push.c).
 *
 * All buffers are made when the device is. To open a connection again takes
 * memory, as the RDMA core offers no other way; the session's work may then use
 * the emergency reserves, and the core's workers what rdma_reserve.c keeps.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "rdma.h"

static void memx_rdma_free(struct memx_device *dev)
{
	struct memx_rdma *rdma = memx_rdma_of(dev);

	dev->transport_data = NULL;
	memx_rdma_frames_destroy(rdma);
	kfree(rdma);
}

/* The server that the link names; none if a migration is to name it. */
static int memx_rdma_parse_link(struct memx_rdma *rdma)
{
	const struct memx_params *params = &rdma->dev->params;
	const char *name = strchr(params->link, ':') + 1;

	if (!params->region[0]) {
		if (!*name)
			return 0;
		pr_err("memx: attach: mode=pseudo goes with link=rdma: alone; the server is named by the host, at each migration\n");
		return -EINVAL;
	}
	if (!memx_rdma_parse(name, &rdma->server))
		return 0;
	pr_err("memx: attach: link must be rdma:ADDRESS or rdma:ADDRESS:PORT, as rdma:192.0.2.1 or rdma:[2001:db8::1]:%d\n",
	       RMAP_RDMA_PORT);
	return -EINVAL;
}

static int memx_rdma_join(struct memx_device *dev, bool wait)
{
	struct memx_rdma *rdma;
	int ret;

	if (!wait)
		return -EALREADY;
	if (dev->params.has_server) {
		pr_err("memx: attach: server= is for Ethernet; link=rdma:ADDRESS[:PORT] names the server\n");
		return -EINVAL;
	}
	if (dev->params.mtu && dev->params.mtu < MEMX_RDMA_FRAME_BYTES) {
		pr_err("memx: attach: over RDMA mtu must be at least %u\n",
		       MEMX_RDMA_FRAME_BYTES);
		return -EINVAL;
	}
	rdma = kzalloc(sizeof(*rdma), GFP_KERNEL);
	if (!rdma)
		return -ENOMEM;
	rdma->dev = dev;
	dev->transport_data = rdma;
	memx_rdma_reserve_init(rdma);
	ret = memx_rdma_parse_link(rdma);
	if (!ret)
		ret = memx_rdma_frames_create(rdma);
	if (ret)
		memx_rdma_free(dev);
	return ret;
}

static void memx_rdma_leave(struct memx_device *dev)
{
	memx_rdma_end(memx_rdma_of(dev));
	memx_rdma_free(dev);
}

/*
 * A guest that runs on another host already would learn too late that it cannot
 * reach its pages, so a connection is made, and ended.
 */
static int memx_rdma_aim(struct memx_device *dev, const char *server)
{
	struct memx_rdma *rdma = memx_rdma_of(dev);
	int ret = memx_rdma_parse(server, &rdma->server);

	rdma->local.ss_family = AF_UNSPEC;
	if (ret)
		return ret;
	ret = memx_rdma_connect(dev, true);
	if (!ret)
		memx_rdma_disconnect(dev);
	return ret;
}

/* Whether there is a way to the server shows when it is asked for. */
static bool memx_rdma_is_usable(struct memx_device *dev)
{
	return true;
}

static unsigned int memx_rdma_mtu(struct memx_device *dev)
{
	return memx_rdma_of(dev)->frame_bytes;
}

static int memx_rdma_adopt(struct memx_device *dev,
			   struct memx_session *session)
{
	/* Broken later, it finds the session published. */
	return READ_ONCE(memx_rdma_of(dev)->is_broken) ? -ENETDOWN : 0;
}

static int memx_rdma_server_name(struct memx_device *dev, char *text,
				 size_t bytes)
{
	const struct memx_rdma *rdma = memx_rdma_of(dev);

	if (rdma->server.ss_family == AF_UNSPEC)
		return scnprintf(text, bytes, "none");
	return scnprintf(text, bytes, "%pISpc", &rdma->server);
}

static struct memx_transport memx_rdma_transport = {
	.name = "rdma",
	.owner = THIS_MODULE,
	.is_reliable = true,
	.join = memx_rdma_join,
	.leave = memx_rdma_leave,
	.aim = memx_rdma_aim,
	.is_usable = memx_rdma_is_usable,
	.connect = memx_rdma_connect,
	.disconnect = memx_rdma_disconnect,
	.mtu = memx_rdma_mtu,
	.adopt = memx_rdma_adopt,
	.opened = memx_rdma_opened,
	.window = memx_rdma_window,
	.offer = memx_rdma_push_offer,
	.own_tags = MEMX_RDMA_OWN_TAGS,
	.add = memx_rdma_add,
	.move = memx_rdma_move,
	.send = memx_rdma_send,
	.drop = memx_rdma_drop,
	.send_attach = memx_rdma_send_attach,
	.send_alone = memx_rdma_send_alone,
	.server_name = memx_rdma_server_name,
};

static int __init memx_rdma_init(void)
{
	return memx_transport_register(&memx_rdma_transport);
}

static void __exit memx_rdma_exit(void)
{
	memx_transport_unregister(&memx_rdma_transport);
}

module_init(memx_rdma_init);
module_exit(memx_rdma_exit);

MODULE_DESCRIPTION("Another machine's memory as a block device, over RDMA");
MODULE_AUTHOR("memx developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(MEMX_VERSION);
