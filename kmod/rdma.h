/* SPDX-License-Identifier: GPL-2.0 */
/*
 * memx_rdma: RMAP over RDMA's reliable connections.
 *
 * rdma.c             the module; a device joins and leaves
 * rdma_address.c     which server, and from where
 * rdma_connection.c  a connection, from its begin to its end
 * rdma_frames.c      frames, out and in
 * rdma_push.c        buffers that the server writes pushes to
 * rdma_register.c    reads on devices that want the page registered
 * rdma_reserve.c     memory for the kernel's connection manager
 * rdma_window.c      pages, moved without the server's processor
 */
#ifndef MEMX_RDMA_H
#define MEMX_RDMA_H

#include <linux/bvec.h>
#include <linux/mempool.h>
#include <linux/socket.h>
#include <linux/workqueue.h>
#include <rdma/ib_verbs.h>
#include <rdma/rdma_cm.h>

#include "memx.h"

/* A page may be in as many pieces. */
#define MEMX_RDMA_PIECES (RMAP_PAGE_BYTES >> SECTOR_SHIFT)
/* Requests that a frame may hold messages of. */
#define MEMX_RDMA_TAGS 16
/* Headers in front of a page, or the longest message that carries none. */
#define MEMX_RDMA_LINEAR_BYTES \
	(RMAP_HDR_BYTES + RMAP_MAX_HINT_EXTENTS * RMAP_EXTENT_BYTES)
/* A page a frame: what packing more would save, an RDMA device does not cost. */
#define MEMX_RDMA_FRAME_BYTES RMAP_WHOLE_PAGE_MTU
/* Frames of a session that belong to no request of the disk. */
#define MEMX_RDMA_SPARE_FRAMES 16

struct memx_rdma_push;

/**
 * struct memx_rdma_send - a frame to send
 * @cqe: of its completion
 * @list: among the free ones, or in a burst
 * @rdma: whose it is
 * @wr: the work request; of an RDMA read or write, it has no @linear
 * @sge: @linear if it has any, then @piece
 * @epoch: the session whose messages it holds
 * @bytes: how many are in @linear
 * @pieces: how many are in @piece
 * @is_bounced: @piece is a copy, in a page from the pool
 * @count: how many @tags are in use
 * @tags: the requests whose messages it holds
 * @piece: where the page lies; a reference to each
 * @region: registers the page of a read, where those are registered
 * @register_wr: does it
 * @register_cqe: of its completion, if it fails
 * @invalidate_cqe: of the completion of what ends it
 * @linear: headers, or a message that carries no page
 */
struct memx_rdma_send {
	struct ib_cqe cqe;
	struct list_head list;
	struct memx_rdma *rdma;
	struct ib_rdma_wr wr;
	struct ib_sge sge[1 + MEMX_RDMA_PIECES];
	u32 epoch;
	u16 bytes;
	u8 pieces;
	bool is_bounced;
	u16 count;
	u16 tags[MEMX_RDMA_TAGS];
	struct bio_vec piece[MEMX_RDMA_PIECES];
	struct ib_mr *region;
	struct ib_reg_wr register_wr;
	struct ib_cqe register_cqe;
	struct ib_cqe invalidate_cqe;
	u8 *linear;
};

/**
 * struct memx_rdma_receive - a buffer for a frame to come
 * @cqe: of its completion
 * @rdma: whose it is
 * @skb: the buffer, which other transports' frames come in, too
 * @sge: the buffer, as the device knows it; address 0 while it does not
 */
struct memx_rdma_receive {
	struct ib_cqe cqe;
	struct memx_rdma *rdma;
	struct sk_buff *skb;
	struct ib_sge sge;
};

/**
 * struct memx_rdma_window - the server's memory, as far as we may reach it
 * @epoch: of the session that it is for; written last
 * @address: where slot 0 is
 * @slots: how many there are
 * @key: the remote key
 */
struct memx_rdma_window {
	u32 epoch;
	u64 address;
	u64 slots;
	u32 key;
};

/**
 * struct memx_rdma - a device's end of a connection, and all that it needs
 * @dev: the device
 * @server: the server's address; of no family until the device is aimed at one
 * @local: where the last connection to it led from; of no family before
 * @send_lock: protects @free, @valid, @used and @is_starved; softirqs off
 * @free: sends
 * @valid: reads that have completed, but whose pages are registered still
 * @used: sends that are not free
 * @limit: how many may be in use: also the receives that the server keeps
 * @is_starved: somebody found none free
 * @nr_sends: how many there are
 * @sends: array
 * @nr_receives: how many there are
 * @receives: array
 * @push: buffers for pushes, NULL where none are to come
 * @pool: pages for copies, where the device cannot take a page as it lies
 * @reserve: blocks of pages, for the connection manager
 * @nr_reserve: how many there are
 * @reserve_fill: allocates them
 * @id: the connection, NULL while there is none
 * @pd: its protection domain
 * @cq: its completion queue
 * @epoch: of the newest session when it was made: it serves one session
 * @max_pieces: pieces of a page that the device takes behind headers
 * @max_reads: ... and for an RDMA read
 * @registers: the page of each RDMA read is registered for it
 * @frame_bytes: the most bytes of a frame that both ends take
 * @is_broken: of no use any more; set once
 * @is_drained: nothing is under way, nor will be
 * @is_removed: the RDMA device is going
 * @is_answered: what the connection manager, or then the server for a window,
 *	was asked last has been answered
 * @answer: 0 or why not
 * @hello: what the server has said of itself
 * @window: the server's memory, if it lets us reach it
 */
struct memx_rdma {
	struct memx_device *dev;
	struct sockaddr_storage server;
	struct sockaddr_storage local;

	spinlock_t send_lock;
	struct list_head free;
	struct list_head valid;
	unsigned int used;
	unsigned int limit;
	bool is_starved;

	unsigned int nr_sends;
	struct memx_rdma_send *sends;
	unsigned int nr_receives;
	struct memx_rdma_receive *receives;
	struct memx_rdma_push *push;
	mempool_t *pool;

	struct list_head reserve;
	unsigned int nr_reserve;
	struct delayed_work reserve_fill;

	struct rdma_cm_id *id;
	struct ib_pd *pd;
	struct ib_cq *cq;
	u32 epoch;
	unsigned int max_pieces;
	unsigned int max_reads;
	bool registers;
	unsigned int frame_bytes;
	bool is_broken;
	bool is_drained;
	bool is_removed;
	bool is_answered;
	int answer;
	struct rmap_hello hello;
	struct memx_rdma_window window;
};

static inline struct memx_rdma *memx_rdma_of(struct memx_device *dev)
{
	return dev->transport_data;
}

/* rdma_address.c */
int memx_rdma_parse(const char *name, struct sockaddr_storage *server);
int memx_rdma_source(const struct memx_rdma *rdma,
		     struct sockaddr_storage *source);

/* rdma_connection.c */
int memx_rdma_connect(struct memx_device *dev, bool interruptible);
void memx_rdma_disconnect(struct memx_device *dev);
void memx_rdma_end(struct memx_rdma *rdma);
void memx_rdma_break(struct memx_rdma *rdma, const char *why);
void memx_rdma_ask(struct memx_rdma *rdma);
void memx_rdma_answer(struct memx_rdma *rdma, int answer);
int memx_rdma_wait(struct memx_rdma *rdma, bool interruptible);

/* rdma_frames.c */
int memx_rdma_frames_create(struct memx_rdma *rdma);
void memx_rdma_frames_destroy(struct memx_rdma *rdma);
struct memx_rdma_send *memx_rdma_send_take(struct memx_rdma *rdma, u32 epoch);
void memx_rdma_send_give(struct memx_rdma_send *send);
bool memx_rdma_send_refer(struct memx_rdma_send *send, struct request *rq,
			  unsigned int most);
void memx_rdma_check(struct memx_rdma *rdma, const struct ib_wc *wc);
void memx_rdma_send_completed(struct memx_rdma_send *send, bool done);
int memx_rdma_receives_post(struct memx_rdma *rdma);
void memx_rdma_receives_unmap(struct memx_rdma *rdma);
bool memx_rdma_add(struct memx_device *dev, struct memx_session *session,
		   struct memx_burst *burst, const struct rmap_hdr *hdr,
		   struct request *rq, unsigned int offset);
void memx_rdma_send(struct memx_device *dev, struct memx_burst *burst);
void memx_rdma_drop(struct memx_device *dev, struct memx_burst *burst);
int memx_rdma_send_attach(struct memx_device *dev, const struct rmap_hdr *hdr,
			  const struct rmap_attach *attach, unsigned int mtu);
bool memx_rdma_send_alone(struct memx_device *dev, u32 epoch,
			  struct rmap_hdr *hdr, const void *payload);

void memx_rdma_deliver(struct memx_rdma *rdma, struct sk_buff *skb);

/* rdma_push.c */
int memx_rdma_push_create(struct memx_rdma *rdma);
void memx_rdma_push_destroy(struct memx_rdma *rdma);
void memx_rdma_push_open(struct memx_rdma *rdma);
void memx_rdma_push_close(struct memx_rdma *rdma);
void memx_rdma_push_offer(struct memx_device *dev, u32 epoch,
			  struct rmap_begin *begin);
void memx_rdma_push_written(struct memx_rdma *rdma, const struct ib_wc *wc);

/* rdma_register.c */
bool memx_rdma_may_read(const struct memx_rdma *rdma);
void memx_rdma_choose_registration(struct memx_rdma *rdma);
int memx_rdma_regions_create(struct memx_rdma *rdma);
void memx_rdma_regions_destroy(struct memx_rdma *rdma);
struct ib_send_wr *memx_rdma_register(struct memx_rdma_send *send);
void memx_rdma_invalidate(struct memx_rdma_send *send);
void memx_rdma_invalidate_rest(struct memx_rdma *rdma);

/* rdma_reserve.c */
void memx_rdma_reserve_init(struct memx_rdma *rdma);
void memx_rdma_reserve_keep(struct memx_rdma *rdma);
void memx_rdma_reserve_free(struct memx_rdma *rdma);

/* rdma_window.c */
#define MEMX_RDMA_OWN_TAGS 1
void memx_rdma_opened(struct memx_device *dev);
void memx_rdma_window(struct memx_device *dev, struct memx_session *session,
		      const struct rmap_hdr *hdr, struct sk_buff *skb,
		      unsigned int offset);
int memx_rdma_move(struct memx_device *dev, struct memx_session *session,
		   struct memx_burst *burst, const struct rmap_hdr *hdr,
		   struct request *rq);

#endif /* MEMX_RDMA_H */
