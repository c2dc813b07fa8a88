// SPDX-License-Identifier: GPL-2.0
/*
 * A connection, from its begin to its end.
 *
 *	     address    route     queues,        accepted
 *	NONE ------> .. -----> .. ------> ASKED ----------> OPEN
 *	 ^                                                   |
 *	 |   drained                                         | an operation fails,
 *	 +------------------ BROKEN <------------------------+ the server or the
 *	                                                       device goes, or its
 *	                                                       session ends
 *
 * All but the step to BROKEN is done by one thread at a time: who makes the
 * device, its session's work, or who detaches it. To BROKEN it goes from
 * anywhere (memx_rdma_break()), once, and that ends its session as well, which
 * calls for the work. On the way back to NONE, one after the other:
 *  1. no session is published, so a grace period later nobody sends;
 *  2. the queue pair is drained: whatever was under way has completed, and no
 *     page of a request is in the device's hands any more;
 *  3. the network interface is up, if it is still there;
 *  4. the server is told;
 *  5. queue pair, completion queue, memory regions, protection domain and
 *     identifier go, so that a device which is being removed is held no longer.
 * From any step of the way to OPEN a failure leads back in the same way.
 *
 * Step 3 is for soft-RoCE. Without a route it cannot send, and takes that for
 * an error of the queue pair; of the one, too, by which its connection manager
 * talks. That never hears anything again, until the device is made anew. To
 * tell the server is to send, and the identifier does it when it goes.
 */
#include <linux/ktime.h>
#include <linux/netdevice.h>
#include <linux/sched/mm.h>
#include <rdma/ib_cm.h>

#include "rdma.h"

/* How long one step may take. */
#define MEMX_RDMA_STEP (2 * HZ)
#define MEMX_RDMA_STEP_MS 1000
/*
 * 4.096 µs << 16 without an acknowledgement, and the device sends again: lost
 * is what has been sent seven times, so a dead link shows after some 2 s. The
 * connection manager's own choice would be a minute.
 */
#define MEMX_RDMA_ACK_TIMEOUT 16
/* Not 7: soft-RoCE takes that for ever. */
#define MEMX_RDMA_RETRIES 6
/* RDMA reads under way at a time; the others wait in the queue. */
#define MEMX_RDMA_READS 16
/* For ever: the server's receives are shared, and come back. */
#define MEMX_RDMA_RNR_RETRIES 7

/**
 * memx_rdma_break - the connection is of no use any more
 * @rdma: the connection
 * @why: for the log
 *
 * Any context but hard interrupts.
 */
void memx_rdma_break(struct memx_rdma *rdma, const char *why)
{
	if (xchg(&rdma->is_broken, true))
		return;
	memx_session_lost(rdma->dev, ktime_get_ns(), why);
	wake_up(&rdma->dev->wait);
}

/**
 * memx_rdma_answer - what memx_rdma_wait() waits for
 * @rdma: the connection
 * @answer: 0 or why not
 *
 * Any context but hard interrupts.
 */
void memx_rdma_answer(struct memx_rdma *rdma, int answer)
{
	rdma->answer = answer;
	/* Pairs with memx_rdma_wait(). */
	smp_store_release(&rdma->is_answered, true);
	wake_up(&rdma->dev->wait);
}

/* Read what the server says of itself. */
static int memx_rdma_hear(struct rmap_hello *hello, const void *data, u8 bytes)
{
	if (!data || bytes < RMAP_HELLO_BYTES)
		return -EPROTO;
	memcpy(hello, data, RMAP_HELLO_BYTES);
	if (le32_to_cpu(hello->magic) != RMAP_HELLO_MAGIC)
		return -EPROTO;
	return hello->version == RMAP_VERSION ? 0 : -EPROTONOSUPPORT;
}

static int memx_rdma_refusal(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	struct rmap_hello hello;
	const void *data;
	u8 bytes = 0;

	data = rdma_consumer_reject_data(id, event, &bytes);
	if (data) {
		int ret = memx_rdma_hear(&hello, data, bytes);

		if (!ret && hello.status == RMAP_TOO_MANY)
			ret = -EUSERS;
		else if (!ret && hello.status == RMAP_BAD_VERSION)
			ret = -EPROTONOSUPPORT;
		return ret ?: -EPROTO;
	}
	/* The server has not noticed yet that our last connection is gone. */
	if (rdma_protocol_ib(id->device, id->port_num) ||
	    rdma_protocol_roce(id->device, id->port_num))
		if (event->status == IB_CM_REJ_STALE_CONN)
			return -EAGAIN;
	return -ECONNREFUSED;
}

static int memx_rdma_event(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	struct memx_rdma *rdma = id->context;

	switch (event->event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		memx_rdma_answer(rdma, 0);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		memx_rdma_answer(rdma, memx_rdma_hear(&rdma->hello,
					event->param.conn.private_data,
					event->param.conn.private_data_len));
		break;
	case RDMA_CM_EVENT_ADDR_ERROR:
	case RDMA_CM_EVENT_ROUTE_ERROR:
	case RDMA_CM_EVENT_CONNECT_ERROR:
	case RDMA_CM_EVENT_UNREACHABLE:
		memx_rdma_answer(rdma, event->status < 0 ? event->status :
							   -EHOSTUNREACH);
		break;
	case RDMA_CM_EVENT_REJECTED:
		memx_rdma_answer(rdma, memx_rdma_refusal(id, event));
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
		memx_rdma_break(rdma, "the server has disconnected");
		break;
	case RDMA_CM_EVENT_ADDR_CHANGE:
		memx_rdma_break(rdma, "the address has moved");
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		/* The session's work lets go of it. */
		WRITE_ONCE(rdma->is_removed, true);
		memx_rdma_break(rdma, "the RDMA device is removed");
		memx_session_kick(rdma->dev);
		break;
	default:
		break;
	}
	return 0;
}

static bool memx_rdma_is_over(struct memx_rdma *rdma, bool interruptible)
{
	return smp_load_acquire(&rdma->is_answered) ||
	       READ_ONCE(rdma->is_broken) ||
	       (!interruptible &&
		READ_ONCE(rdma->dev->state) == MEMX_DETACHING);
}

/**
 * memx_rdma_wait - wait for the answer to what has been asked
 * @rdma: the connection
 * @interruptible: a signal ends the wait; else the detaching of the device does
 *
 * Return: the answer; -EINTR; -ENETDOWN when the connection has ended; -ETIMEDOUT.
 */
int memx_rdma_wait(struct memx_rdma *rdma, bool interruptible)
{
	long left;

	if (interruptible)
		left = wait_event_interruptible_timeout(rdma->dev->wait,
				memx_rdma_is_over(rdma, true), MEMX_RDMA_STEP);
	else
		left = wait_event_timeout(rdma->dev->wait,
				memx_rdma_is_over(rdma, false),
				MEMX_RDMA_STEP);
	if (left < 0)
		return -EINTR;
	if (!rdma->is_answered)
		return READ_ONCE(rdma->is_broken) ? -ENETDOWN : -ETIMEDOUT;
	return rdma->answer;
}

/**
 * memx_rdma_ask - the connection manager is about to be asked for something, or
 *	the server for a window
 * @rdma: the connection
 */
void memx_rdma_ask(struct memx_rdma *rdma)
{
	rdma->is_answered = false;
}

/*
 * Whether to lead from where the last connection did. An identifier with a
 * source is bound to its device by this thread, which may take memory from the
 * reserves; one without is by a work of ib_addr's, which may not, and waits in
 * addr_handler() for memory that waits for this connection. As the route may
 * have come to lead elsewhere, for half of timeout_s only.
 */
static bool memx_rdma_knows_source(const struct memx_rdma *rdma)
{
	const struct memx_device *dev = rdma->dev;
	u64 waited = ktime_get_ns() - READ_ONCE(dev->unanswered_ns);

	return rdma->local.ss_family != AF_UNSPEC &&
	       waited < (u64)READ_ONCE(dev->timeout_s) * NSEC_PER_SEC / 2;
}

/* Where this connection leads from, from any of its ports. */
static void memx_rdma_remember_source(struct memx_rdma *rdma)
{
	rdma->local = rdma->id->route.addr.src_addr;
	if (rdma->local.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&rdma->local)->sin6_port = 0;
	else
		((struct sockaddr_in *)&rdma->local)->sin_port = 0;
}

/* Find the RDMA device, and a way from it to the server. */
static int memx_rdma_resolve(struct memx_rdma *rdma, bool interruptible)
{
	struct sockaddr_storage source;
	int ret;

	ret = memx_rdma_source(rdma, &source);
	if (ret)
		return ret;
	if (source.ss_family == AF_UNSPEC && !interruptible &&
	    memx_rdma_knows_source(rdma))
		source = rdma->local;
	memx_rdma_ask(rdma);
	ret = rdma_resolve_addr(rdma->id,
				source.ss_family == AF_UNSPEC ? NULL :
					(struct sockaddr *)&source,
				(struct sockaddr *)&rdma->server,
				MEMX_RDMA_STEP_MS);
	if (!ret)
		ret = memx_rdma_wait(rdma, interruptible);
	if (ret)
		return ret;
	memx_rdma_remember_source(rdma);
	memx_rdma_ask(rdma);
	ret = rdma_resolve_route(rdma->id, MEMX_RDMA_STEP_MS);
	return ret ?: memx_rdma_wait(rdma, interruptible);
}

/*
 * Queues as deep as the buffers are many, and one more each to drain them. A
 * read that is registered has three work requests, two of them at a time; to
 * register the buffers for pushes takes one.
 */
static int memx_rdma_queues(struct memx_rdma *rdma)
{
	const struct ib_device_attr *can = &rdma->id->device->attrs;
	struct ib_qp_init_attr attr = {
		.qp_type = IB_QPT_RC,
		.sq_sig_type = IB_SIGNAL_REQ_WR,
		.cap = {
			.max_send_wr = rdma->nr_sends + 1,
			.max_recv_wr = rdma->nr_receives + 1,
			.max_recv_sge = 1,
		},
	};
	int ret;

	memx_rdma_choose_registration(rdma);
	if (rdma->registers)
		attr.cap.max_send_wr += 2 * rdma->nr_sends;
	if (rdma->push)
		attr.cap.max_send_wr++;
	if (max(attr.cap.max_send_wr, attr.cap.max_recv_wr) > can->max_qp_wr ||
	    can->max_send_sge < 2) {
		pr_warn_ratelimited("memx%d: RDMA device %s takes %d work requests, %u are needed; attach with a smaller queue_depth\n",
				    rdma->dev->id,
				    dev_name(&rdma->id->device->dev),
				    can->max_qp_wr, attr.cap.max_send_wr);
		return -EOPNOTSUPP;
	}
	rdma->max_pieces = min(can->max_send_sge - 1, MEMX_RDMA_PIECES);
	rdma->max_reads = rdma->registers ? 1 :
			  min3(can->max_send_sge, can->max_sge_rd ?: 1,
			       MEMX_RDMA_PIECES);
	attr.cap.max_send_sge = 1 + rdma->max_pieces;

	rdma->pd = ib_alloc_pd(rdma->id->device, 0);
	if (IS_ERR(rdma->pd)) {
		ret = PTR_ERR(rdma->pd);
		rdma->pd = NULL;
		return ret;
	}
	ret = memx_rdma_regions_create(rdma);
	if (ret)
		return ret;
	memx_rdma_push_open(rdma);
	rdma->cq = ib_alloc_cq_any(rdma->id->device, rdma,
				   attr.cap.max_send_wr + attr.cap.max_recv_wr,
				   IB_POLL_SOFTIRQ);
	if (IS_ERR(rdma->cq)) {
		ret = PTR_ERR(rdma->cq);
		rdma->cq = NULL;
		return ret;
	}
	attr.send_cq = rdma->cq;
	attr.recv_cq = rdma->cq;
	return rdma_create_qp(rdma->id, rdma->pd, &attr);
}

/* Ask the server for a connection. */
static int memx_rdma_ask_server(struct memx_rdma *rdma, bool interruptible)
{
	const struct rmap_hello hello = {
		.magic = cpu_to_le32(RMAP_HELLO_MAGIC),
		.version = RMAP_VERSION,
		.frame_bytes = cpu_to_le16(MEMX_RDMA_FRAME_BYTES),
		.receives = cpu_to_le32(rdma->nr_receives),
	};
	struct rdma_conn_param param = {
		.private_data = &hello,
		.private_data_len = sizeof(hello),
		/* Nobody reads this machine's memory. */
		.responder_resources = 0,
		.initiator_depth = min(rdma->id->device->attrs.max_qp_init_rd_atom,
				       MEMX_RDMA_READS),
		.flow_control = 1,
		.retry_count = MEMX_RDMA_RETRIES,
		.rnr_retry_count = MEMX_RDMA_RNR_RETRIES,
	};
	unsigned int frame_bytes, receives;
	int ret;

	memx_rdma_ask(rdma);
	ret = rdma_connect(rdma->id, &param);
	if (!ret)
		ret = memx_rdma_wait(rdma, interruptible);
	if (ret)
		return ret;
	frame_bytes = le16_to_cpu(rdma->hello.frame_bytes);
	receives = le32_to_cpu(rdma->hello.receives);
	if (frame_bytes < RMAP_WHOLE_PAGE_MTU || !receives) {
		pr_warn_ratelimited("memx%d: the server takes frames of %u bytes, %u at a time, which makes no sense\n",
				    rdma->dev->id, frame_bytes, receives);
		return -EPROTO;
	}
	rdma->frame_bytes = min_t(unsigned int, frame_bytes,
				  MEMX_RDMA_FRAME_BYTES);
	spin_lock_bh(&rdma->send_lock);
	rdma->limit = min(rdma->nr_sends, receives);
	spin_unlock_bh(&rdma->send_lock);
	return 0;
}

/* Nothing is under way afterwards, nor will be. */
static void memx_rdma_drain(struct memx_rdma *rdma)
{
	if (!rdma->id)
		return;
	WRITE_ONCE(rdma->is_broken, true);
	if (rdma->is_drained)
		return;
	synchronize_rcu();
	if (rdma->id->qp)
		ib_drain_qp(rdma->id->qp);
	memx_rdma_invalidate_rest(rdma);
	rdma->is_drained = true;
}

/* Whether there is a way for what the end of a connection sends. */
static bool memx_rdma_may_send(const struct memx_rdma *rdma)
{
	const struct net_device *netdev;
	bool is_up = true;

	if (!rdma->id)
		return true;
	rcu_read_lock();
	netdev = dev_get_by_index_rcu(&init_net,
			rdma->id->route.addr.dev_addr.bound_dev_if);
	/* Of a device that is gone nothing may be kept. */
	if (netdev)
		is_up = netif_running(netdev) && netdev->flags & IFF_UP;
	rcu_read_unlock();
	return is_up || READ_ONCE(rdma->is_removed);
}

/* The end of a connection that has been drained, if there is one. */
static void memx_rdma_free_connection(struct memx_rdma *rdma)
{
	if (!rdma->id)
		return;
	/* What follows waits for the connection manager. */
	memx_rdma_reserve_free(rdma);
	if (rdma->id->qp) {
		rdma_disconnect(rdma->id);
		rdma_destroy_qp(rdma->id);
	}
	if (rdma->pd)
		memx_rdma_receives_unmap(rdma);
	if (rdma->cq)
		ib_free_cq(rdma->cq);
	memx_rdma_regions_destroy(rdma);
	memx_rdma_push_close(rdma);
	if (rdma->pd)
		ib_dealloc_pd(rdma->pd);
	rdma->cq = NULL;
	rdma->pd = NULL;
	rdma_destroy_id(rdma->id);
	rdma->id = NULL;
}

static int memx_rdma_open(struct memx_rdma *rdma, bool interruptible)
{
	struct rdma_cm_id *id;
	int ret;

	id = rdma_create_id(&init_net, memx_rdma_event, rdma, RDMA_PS_TCP,
			    IB_QPT_RC);
	if (IS_ERR(id))
		return PTR_ERR(id);
	rdma->id = id;
	rdma->epoch = rdma->dev->epoch;
	rdma->window.epoch = 0;
	rdma->is_drained = false;
	rdma->is_removed = false;
	WRITE_ONCE(rdma->is_broken, false);
	rdma_set_ack_timeout(id, MEMX_RDMA_ACK_TIMEOUT);
	ret = memx_rdma_resolve(rdma, interruptible);
	if (!ret)
		ret = memx_rdma_queues(rdma);
	if (!ret)
		ret = memx_rdma_receives_post(rdma);
	if (!ret)
		ret = memx_rdma_ask_server(rdma, interruptible);
	return ret;
}

/**
 * memx_rdma_connect - have a connection that has served no session
 * @dev: the device, without a session
 * @interruptible: whether a signal ends the wait; else memory may be waiting
 *	for this very connection, which then may take it from the reserves
 *
 * Return: 0; -EINTR; -ETIMEDOUT; -ECONNREFUSED when nothing listens there;
 * -EUSERS when the server has all connections it may have; -EPROTONOSUPPORT or
 * -EPROTO when it is no server of this version; or why there is no way to it.
 */
int memx_rdma_connect(struct memx_device *dev, bool interruptible)
{
	struct memx_rdma *rdma = memx_rdma_of(dev);
	unsigned int reserves = 0;
	int ret;

	if (rdma->id && !READ_ONCE(rdma->is_broken) &&
	    rdma->epoch == dev->epoch)
		return 0;
	memx_rdma_drain(rdma);
	if (rdma->id && !memx_rdma_may_send(rdma))
		return -ENETDOWN;
	memx_rdma_free_connection(rdma);
	if (!interruptible)
		reserves = memalloc_noreclaim_save();
	ret = memx_rdma_open(rdma, interruptible);
	if (!interruptible)
		memalloc_noreclaim_restore(reserves);
	if (ret)
		memx_rdma_disconnect(dev);
	/* It will be asked again, just as when it has not answered. */
	return ret == -EAGAIN ? -ETIMEDOUT : ret;
}

/**
 * memx_rdma_disconnect - end the connection, if there is one
 * @dev: the device, without a session
 *
 * Of a connection whose interface is down a rest stays, for the next call of
 * memx_rdma_connect() or of memx_rdma_end().
 */
void memx_rdma_disconnect(struct memx_device *dev)
{
	struct memx_rdma *rdma = memx_rdma_of(dev);

	memx_rdma_drain(rdma);
	if (memx_rdma_may_send(rdma))
		memx_rdma_free_connection(rdma);
}

/**
 * memx_rdma_end - leave nothing of a connection
 * @rdma: the connection, if there is one; without a session
 */
void memx_rdma_end(struct memx_rdma *rdma)
{
	memx_rdma_drain(rdma);
	memx_rdma_free_connection(rdma);
}
