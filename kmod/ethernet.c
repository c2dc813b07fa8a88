// SPDX-License-Identifier: GPL-2.0
/*
 * Frames over raw Ethernet, out and in.
 *
 * Out: messages are put one after the other into a frame until it is full.
 * Memory for a frame may come from the emergency reserves, as to send a page
 * is what frees memory; if there is none even there, the message counts as
 * sent, and the retransmission timer sends it.
 *
 * In: frames are taken at the network device's netfilter ingress hook, not by
 * a packet type handler. When memory is short, the buffer of a received frame
 * comes from the reserves too, and the frame is marked pfmemalloc. Such a
 * frame may free memory or may just eat it, so __netif_receive_skb_core()
 * drops it right before the packet type handlers unless its protocol is one of
 * five (skb_pfmemalloc_protocol()), and ours is none of them: each answer to a
 * swapped page would be thrown away just when swap is needed most. The ingress
 * hook runs some lines earlier. As netdev hooks are called for the device that
 * the frame came in on, this holds for a real network device; above a VLAN or
 * a bond the check comes first, and retransmission has to do.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pkt_sched.h>
#include <linux/xxhash.h>

#include "memx.h"

/* READs and other short messages that fit the linear part of a frame. */
#define MEMX_LINEAR_BYTES (16 * RMAP_HDR_BYTES)
/* A page may be in as many pieces; its header takes one more. */
#define MEMX_PAGE_PIECES (RMAP_PAGE_BYTES >> SECTOR_SHIFT)

/* Never waits, may use the reserves, and says nothing when it fails. */
#define MEMX_GFP (GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN)

/* Requests that a frame may hold messages of. */
#define MEMX_FRAME_TAGS 20

/**
 * struct memx_skb_cb - what a frame must know until it is sent
 * @epoch: the session whose messages it holds
 * @count: how many @tags are in use
 * @tags: the requests whose messages it holds
 */
struct memx_skb_cb {
	u32 epoch;
	u16 count;
	u16 tags[MEMX_FRAME_TAGS];
};

static struct memx_skb_cb *memx_skb_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct memx_skb_cb) > sizeof(skb->cb));
	return (struct memx_skb_cb *)skb->cb;
}

static struct sk_buff *memx_burst_open(const struct memx_burst *burst)
{
	return burst->open ? list_entry(burst->open, struct sk_buff, list) :
			     NULL;
}

/* A frame with an Ethernet header and @linear bytes of room. */
static struct sk_buff *memx_frame_alloc(struct net_device *netdev,
					const u8 *server, unsigned int linear)
{
	unsigned int head = LL_RESERVED_SPACE(netdev);
	struct sk_buff *skb;

	skb = alloc_skb(head + linear + netdev->needed_tailroom, MEMX_GFP);
	if (!skb)
		return NULL;
	skb_reserve(skb, head);
	skb->protocol = htons(RMAP_ETHERTYPE);
	skb->priority = TC_PRIO_INTERACTIVE;
	skb_reset_network_header(skb);
	if (dev_hard_header(skb, netdev, RMAP_ETHERTYPE, server,
			    netdev->dev_addr, 0) < 0) {
		kfree_skb(skb);
		return NULL;
	}
	return skb;
}

/* Note whose message goes into a frame; some belong to no request. */
static void memx_frame_add_tag(struct sk_buff *skb, const struct rmap_hdr *hdr)
{
	struct memx_skb_cb *cb = memx_skb_cb(skb);

	if (hdr->tag != cpu_to_le16(RMAP_NO_TAG))
		cb->tags[cb->count++] = le16_to_cpu(hdr->tag);
}

/*
 * Append a header. Behind a page it can only be a fragment of its own, since
 * a frame's linear part comes first.
 */
static bool memx_frame_add_header(struct sk_buff *skb,
				  const struct rmap_hdr *hdr)
{
	struct page *page;
	void *copy;

	if (!skb_is_nonlinear(skb)) {
		if (skb_tailroom(skb) < RMAP_HDR_BYTES)
			return false;
		skb_put_data(skb, hdr, RMAP_HDR_BYTES);
		return true;
	}
	copy = netdev_alloc_frag(ALIGN(RMAP_HDR_BYTES, sizeof(u64)));
	if (!copy)
		return false;
	memcpy(copy, hdr, RMAP_HDR_BYTES);
	page = virt_to_head_page(copy);
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page,
			copy - page_address(page), RMAP_HDR_BYTES,
			RMAP_HDR_BYTES);
	return true;
}

/* memx_burst_add(). */
static bool memx_ethernet_add(struct memx_device *dev,
			      struct memx_session *session,
			      struct memx_burst *burst,
			      const struct rmap_hdr *hdr, struct request *rq,
			      unsigned int offset)
{
	unsigned int length = le16_to_cpu(hdr->length);
	unsigned int bytes = RMAP_HDR_BYTES + length;
	struct rmap_hdr summed = *hdr;
	struct sk_buff *skb;
	u64 sum = length ? memx_payload_sum(rq, offset, length) : 0;

	summed.checksum = cpu_to_le64(memx_header_sum(hdr, sum));

	skb = memx_burst_open(burst);
	if (skb && (burst->room < bytes ||
		    memx_skb_cb(skb)->epoch != session->epoch ||
		    memx_skb_cb(skb)->count == MEMX_FRAME_TAGS ||
		    skb_shinfo(skb)->nr_frags + 1 + MEMX_PAGE_PIECES >
			    MAX_SKB_FRAGS ||
		    !memx_frame_add_header(skb, &summed))) {
		burst->open = NULL;
		skb = NULL;
	}
	if (!skb) {
		skb = memx_frame_alloc(session->netdev, session->server,
				       MEMX_LINEAR_BYTES);
		if (!skb) {
			memx_count(dev, MEMX_TX_NOMEM);
			return false;
		}
		memx_skb_cb(skb)->epoch = session->epoch;
		memx_skb_cb(skb)->count = 0;
		list_add_tail(&skb->list, &burst->frames);
		burst->open = &skb->list;
		burst->room = session->mtu;
		memx_frame_add_header(skb, &summed);
	}
	memx_frame_add_tag(skb, hdr);
	burst->room -= bytes;
	if (length && memx_payload_attach(rq, offset, length, skb)) {
		/* What went before is lost with it, and sent again. */
		memx_count(dev, MEMX_TX_NOMEM);
		skb_list_del_init(skb);
		kfree_skb(skb);
		burst->open = NULL;
		return false;
	}
	return true;
}

/*
 * memx_burst_send(). Only here does a frame learn its network device, under
 * RCU: a frame may lie in a batch for a while, and must not keep a device that
 * is removed.
 */
static void memx_ethernet_send(struct memx_device *dev,
			       struct memx_burst *burst)
{
	struct memx_session *session;
	struct sk_buff *skb, *next;

	rcu_read_lock();
	session = rcu_dereference(dev->session);
	list_for_each_entry_safe(skb, next, &burst->frames, list) {
		const struct memx_skb_cb *cb = memx_skb_cb(skb);

		skb_list_del_init(skb);
		if (!session || cb->epoch != session->epoch) {
			kfree_skb(skb);
			continue;
		}
		memx_requests_sent(dev, cb->tags, cb->count);
		skb->dev = session->netdev;
		memx_count(dev, MEMX_TX_FRAMES);
		/* Dropped, it counts as lost on the way. */
		dev_queue_xmit(skb);
	}
	if (session)
		WRITE_ONCE(dev->last_said_ns, ktime_get_ns());
	rcu_read_unlock();
}

static void memx_ethernet_drop(struct memx_device *dev,
			       struct memx_burst *burst)
{
	struct sk_buff *skb, *next;

	list_for_each_entry_safe(skb, next, &burst->frames, list) {
		skb_list_del_init(skb);
		kfree_skb(skb);
	}
}

/* A frame with one message, whose payload is copied: for those that are rare. */
static struct sk_buff *memx_frame_message(struct memx_device *dev,
					  struct net_device *netdev,
					  const u8 *server,
					  const struct rmap_hdr *hdr,
					  const void *payload)
{
	unsigned int length = le16_to_cpu(hdr->length);
	struct rmap_hdr summed = *hdr;
	struct sk_buff *skb;

	skb = memx_frame_alloc(netdev, server, RMAP_HDR_BYTES + length);
	if (!skb) {
		memx_count(dev, MEMX_TX_NOMEM);
		return NULL;
	}
	summed.checksum = cpu_to_le64(
		memx_header_sum(hdr, length ? xxh64(payload, length, 0) : 0));
	skb_put_data(skb, &summed, RMAP_HDR_BYTES);
	if (length)
		skb_put_data(skb, payload, length);
	skb->dev = netdev;
	return skb;
}

/*
 * ATTACH, padded with zeros to the MTU asked for. The padding is one page of
 * zeros, referred to as often as needed, so that a long frame needs no more
 * memory than a short one. Return 0; -ENETDOWN without a network device;
 * -ENOMEM.
 */
static int memx_ethernet_send_attach(struct memx_device *dev,
				     const struct rmap_hdr *hdr,
				     const struct rmap_attach *attach,
				     unsigned int mtu)
{
	unsigned int bytes = RMAP_HDR_BYTES + RMAP_ATTACH_BYTES;
	struct net_device *netdev;
	struct sk_buff *skb;
	int ret = 0;

	rcu_read_lock();
	netdev = rcu_dereference(dev->netdev);
	if (!netdev) {
		ret = -ENETDOWN;
		goto out;
	}
	skb = memx_frame_message(dev, netdev, dev->server, hdr, attach);
	if (!skb) {
		ret = -ENOMEM;
		goto out;
	}
	while (bytes < mtu) {
		unsigned int n = min_t(unsigned int, mtu - bytes, PAGE_SIZE);

		get_page(dev->padding);
		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, dev->padding,
				0, n, n);
		bytes += n;
	}
	memx_count(dev, MEMX_TX_FRAMES);
	dev_queue_xmit(skb);
out:
	rcu_read_unlock();
	return ret;
}

/* memx_send_in_session(). */
static bool memx_ethernet_send_alone(struct memx_device *dev, u32 epoch,
				     struct rmap_hdr *hdr, const void *payload)
{
	struct memx_session *session;
	struct sk_buff *skb;
	bool open;

	rcu_read_lock();
	session = rcu_dereference(dev->session);
	open = session && session->epoch == epoch;
	if (open) {
		hdr->session = cpu_to_le32(session->id);
		skb = memx_frame_message(dev, session->netdev, session->server,
					 hdr, payload);
		if (skb) {
			memx_count(dev, MEMX_TX_FRAMES);
			dev_queue_xmit(skb);
			WRITE_ONCE(dev->last_said_ns, ktime_get_ns());
		}
	}
	rcu_read_unlock();
	return open;
}

/* Whom a message is for, by what only its own server could know. */
static struct memx_device *memx_find(void *priv, const struct rmap_hdr *hdr,
				     const u8 *from,
				     struct memx_session **session)
{
	const struct memx_link *link = priv;
	struct memx_device *dev;

	*session = NULL;
	list_for_each_entry_rcu(dev, &link->devices, on_link) {
		struct memx_session *open = rcu_dereference(dev->session);

		if (open && hdr->session &&
		    open->id == le32_to_cpu(hdr->session) &&
		    ether_addr_equal(open->server, from)) {
			*session = open;
			return dev;
		}
		if (hdr->tag == cpu_to_le16(RMAP_NO_TAG) &&
		    READ_ONCE(dev->exchange.opcode) == RMAP_ATTACH &&
		    READ_ONCE(dev->exchange.generation) ==
			    le32_to_cpu(hdr->generation))
			return dev;
	}
	return NULL;
}

/**
 * memx_receive - the ingress hook of a link
 * @priv: the link
 * @skb: a frame, whatever it is, from behind its Ethernet header on
 * @state: unused
 *
 * Frames whose first message is a client's pass: they are for a server on this
 * machine. So do those for other machines and other VLANs.
 *
 * Context: softirq, RCU read side. The frame may be shared: it is only read.
 *
 * Return: NF_STOLEN for a frame of ours, else NF_ACCEPT.
 */
unsigned int memx_receive(void *priv, struct sk_buff *skb,
			  const struct nf_hook_state *state)
{
	struct memx_link *link = priv;
	struct memx_device *owner;
	u8 begin[2];

	if (skb->protocol != htons(RMAP_ETHERTYPE) ||
	    skb->pkt_type != PACKET_HOST || skb_vlan_tag_present(skb) ||
	    skb_copy_bits(skb, 0, begin, sizeof(begin)) ||
	    !(begin[1] & RMAP_REPLY || begin[1] == RMAP_PUSH))
		return NF_ACCEPT;
	owner = list_first_or_null_rcu(&link->devices, struct memx_device,
				       on_link);
	if (owner)
		memx_frame_receive(owner, skb, eth_hdr(skb)->h_source,
				   memx_find, link);
	consume_skb(skb);
	return NF_STOLEN;
}

static int memx_ethernet_adopt(struct memx_device *dev,
			       struct memx_session *session)
{
	struct net_device *netdev;

	netdev = rcu_dereference_protected(dev->netdev,
					   lockdep_is_held(&dev->state_lock));
	if (!netdev)
		return -ENETDOWN;
	session->netdev = netdev;
	ether_addr_copy(session->server, dev->exchange.server);
	ether_addr_copy(dev->server, dev->exchange.server);
	return 0;
}

/* Whether the server hears shows when it is asked. */
static int memx_ethernet_aim(struct memx_device *dev, const char *server)
{
	u8 address[ETH_ALEN];

	if (strlen(server) != 3 * ETH_ALEN - 1 || !mac_pton(server, address) ||
	    !is_valid_ether_addr(address))
		return -EINVAL;
	ether_addr_copy(dev->server, address);
	return 0;
}

static int memx_ethernet_server_name(struct memx_device *dev, char *text,
				     size_t bytes)
{
	return scnprintf(text, bytes, "%pM", dev->server);
}

struct memx_transport memx_ethernet = {
	.name = "ethernet",
	.owner = THIS_MODULE,
	.join = memx_link_join,
	.leave = memx_link_leave,
	.aim = memx_ethernet_aim,
	.is_usable = memx_link_is_usable,
	.mtu = memx_link_mtu,
	.adopt = memx_ethernet_adopt,
	.add = memx_ethernet_add,
	.send = memx_ethernet_send,
	.drop = memx_ethernet_drop,
	.send_attach = memx_ethernet_send_attach,
	.send_alone = memx_ethernet_send_alone,
	.server_name = memx_ethernet_server_name,
};
