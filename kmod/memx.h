/* SPDX-License-Identifier: GPL-2.0 */
/*
 * memx: another machine's memory as a block device, over RMAP. rdma.h goes on
 * where this leads to memx_rdma.
 *
 * main.c      module, list of devices
 * attach.c    the line that makes a device
 * device.c    a device's life, from attach to detach
 * block.c     the disk: blk-mq
 * request.c   requests on the wire: sending, sending again, replies
 * payload.c   a request's page as bytes
 * slots.c     pseudo-paging: what each slot holds
 * late.c      ... when writes to them end
 * copy.c      pseudo-paging by copying to a server
 * pseudo.c    migration of a Xen guest, as the guest sees it
 * pageout.c   ... paging out for it
 * exchange.c  ... writing without copying
 * frames.c    ... which frame holds which slot
 * resident.c  ... what cannot be paged out
 * balloon.c   ... pages without frames
 * xen.c       ... hypercalls
 * xenstore.c  ... what the host asks for, and is told
 * selftest.c  ... a test of xen.c
 * session.c   opening, keeping, re-opening a session
 * transport.c what carries frames: Ethernet, or a module like memx_rdma
 * message.c   messages that have come in
 * postcopy.c  a post-copy from its begin to its end
 * tell.c      what the server is told of it
 * push.c      pages that the server pushes
 * ethernet.c  frames out and in
 * link.c      network devices and their comings and goings
 * sysfs.c, debugfs.c
 *
 * Locks, outermost first:
 *   rtnl, memx_links_lock   links and who is on them
 *   memx_devices_lock       the list of devices
 *   memx_cmd.lock           one request; softirqs off
 *   memx_push_place.lock    one push; softirqs off
 *   memx_slots.locks        what a slot holds; softirqs off
 *   memx_batch.lock         frames being filled; softirqs off
 *   memx_push.lock          numbers of pushes; softirqs off
 *   memx_device.state_lock  state and session; softirqs off
 * From memx_cmd.lock on they are held for a few instructions each, the first
 * two also while that request's or push's page is copied or summed. None is
 * shared by all pages; memx_push.lock is by all pushes, for their numbers.
 */
#ifndef MEMX_H
#define MEMX_H

#include <linux/blk-mq.h>
#include <linux/etherdevice.h>
#include <linux/kobject.h>
#include <linux/kref.h>
#include <linux/netdevice.h>
#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/notifier.h>
#include <linux/shrinker.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "rmap.h"
#include "core/histogram.h"
#include "core/rtt.h"

#define MEMX_VERSION "1.0.0"

#define MEMX_SLOT_SECTORS (RMAP_PAGE_BYTES >> SECTOR_SHIFT)
#define MEMX_MAX_DISCARD_SECTORS (RMAP_MAX_DISCARD_SLOTS * MEMX_SLOT_SECTORS)

#define MEMX_DEFAULT_QUEUE_DEPTH 128
#define MEMX_DEFAULT_TIMEOUT_S 30
#define MEMX_MAX_TIMEOUT_S 86400
/* Of a link's name, and a NUL. */
#define MEMX_LINK_BYTES 96
/* Of an RDMA device's name, and a NUL. */
#define MEMX_RDMA_DEVICE_BYTES 64
/* Of a server's address as text, and a NUL. */
#define MEMX_SERVER_NAME_BYTES 64
/* The greatest N of /dev/memxN. */
#define MEMX_MAX_ID 65535
/* The MTU to ask for when frames of the wanted one do not get through. */
#define MEMX_SAFE_MTU 1500

/**
 * enum memx_state - what a device does with requests
 * @MEMX_ATTACHING: the device is being made; there is no disk yet
 * @MEMX_LIVE: a session is open
 * @MEMX_RECONNECTING: no session; requests are taken and wait for one
 * @MEMX_FAILED: no session for so long that requests fail at once; one is
 *	still looked for
 * @MEMX_IDLE: pseudo-paging, and no migration: no session is wanted
 * @MEMX_DETACHING: going; requests fail at once
 */
enum memx_state {
	MEMX_ATTACHING,
	MEMX_LIVE,
	MEMX_RECONNECTING,
	MEMX_FAILED,
	MEMX_IDLE,
	MEMX_DETACHING,
};

/* Counters since attach; sysfs.c names them, and the ABI document says more. */
enum memx_stat {
	MEMX_READS,
	MEMX_WRITES,
	MEMX_DISCARDS,
	MEMX_FLUSHES,
	MEMX_DISCARDED_PAGES,
	MEMX_ERRORS,
	MEMX_RETRANSMITS,
	MEMX_TIMEOUTS,
	MEMX_LATE_REPLIES,
	MEMX_BAD_CHECKSUM,
	MEMX_BAD_FRAMES,
	MEMX_RECONNECTS,
	MEMX_LOST_PAGES,
	MEMX_TX_FRAMES,
	MEMX_RX_FRAMES,
	MEMX_RX_PFMEMALLOC,
	MEMX_TX_NOMEM,
	MEMX_CREDIT_WAITS,
	MEMX_ZERO_PAGES,
	MEMX_ONE_SIDED,
	MEMX_MINOR_FAULTS,
	MEMX_NETWORK_FAULTS,
	MEMX_ANNOUNCED_FAULTS,
	MEMX_FETCHED_PAGES,
	MEMX_PUSHED_PAGES,
	MEMX_OUTDATED_PAGES,
	MEMX_UNWANTED_PUSHES,
	MEMX_REPEATED_PUSHES,
	MEMX_RX_NOMEM,
	MEMX_NR_STATS,
};

/**
 * struct memx_percpu - what is counted where it happens
 * @stat: by enum memx_stat
 * @read_us: latency of reads, microseconds
 * @write_us: latency of writes, microseconds
 */
struct memx_percpu {
	u64 stat[MEMX_NR_STATS];
	u64 read_us[MEMX_HISTOGRAM_BUCKETS];
	u64 write_us[MEMX_HISTOGRAM_BUCKETS];
};

/**
 * struct memx_params - how a device was asked for; never changes
 * @region: name of the region; empty for pseudo-paging here
 * @token: the region's token, NUL-padded; never shown
 * @link: name of the network device; or, with a colon behind its name, a
 *	transport and what that makes of the rest
 * @server: over Ethernet, the server's address or broadcast
 * @has_server: @server was given
 * @slots: slots wanted, 0 for all
 * @queue_depth: requests wanted outstanding
 * @mtu: the MTU wanted, 0 for the link's
 * @timeout_s: as attached; memx_device.timeout_s is the one in force
 * @pseudo: the device is for pseudo-paging
 * @rdma_device: over RDMA, the RDMA device to use, or empty for any
 * @rdma_port: its port
 * @gid_index: which of its GIDs, -1 for any
 * @id: N of /dev/memxN, -1 for any
 */
struct memx_params {
	char region[RMAP_REGION_NAME_BYTES];
	u8 token[RMAP_TOKEN_BYTES];
	char link[MEMX_LINK_BYTES];
	u8 server[ETH_ALEN];
	bool has_server;
	u64 slots;
	unsigned int queue_depth;
	unsigned int mtu;
	unsigned int timeout_s;
	bool pseudo;
	char rdma_device[MEMX_RDMA_DEVICE_BYTES];
	unsigned int rdma_port;
	int gid_index;
	int id;
};

/**
 * struct memx_session - an open session; does not change while it is published
 * @id: its name on the wire
 * @epoch: counts the device's sessions from 1: unlike @id never repeats, so a
 *	request knows whether it has been sent under this one
 * @netdev: over Ethernet, where its frames go
 * @server: over Ethernet, the server's address
 * @mtu: the most bytes of a frame; over Ethernet, behind its header
 * @retired: grace period after which the structure may be used again
 *
 * Each device has two of them and alternates, so that to open a session again
 * takes no memory: it must work while memory waits for this very device.
 */
struct memx_session {
	u32 id;
	u32 epoch;
	struct net_device *netdev;
	u8 server[ETH_ALEN];
	u16 mtu;
	unsigned long retired;
};

/**
 * struct memx_burst - frames being filled
 * @frames: the frames; what they are is the transport's
 * @open: the last of them while it is not full, else NULL
 * @room: bytes that still go into @open
 */
struct memx_burst {
	struct list_head frames;
	struct list_head *open;
	unsigned int room;
};

/**
 * struct memx_batch - messages that queue_rq gathers until blk-mq says last
 * @lock: softirqs off
 * @burst: the frames
 *
 * Which batch a task uses follows from the task, not from the CPU: it may be
 * moved between two calls of queue_rq, and its last call must find what the
 * ones before have left.
 */
struct memx_batch {
	spinlock_t lock;
	struct memx_burst burst;
} ____cacheline_aligned_in_smp;

#define MEMX_BATCH_BITS 4

/**
 * struct memx_cmd - a tag and the request that uses it now
 * @lock: softirqs off
 * @rq: the request, NULL when the tag is free. Whoever sets it to NULL, under
 *	@lock, is the one that ends the request
 * @sent_ns: when its last message was sent, or made while that is still to be
 * @first_sent_ns: when its first was, once there is another
 * @started_ns: when it was first sent, or would have been
 * @slot: its (first) slot
 * @count: slots of a DISCARD
 * @epoch: the session it was last sent under, 0 for none yet
 * @generation: of the tag, under that session
 * @tag: index of this structure
 * @opcode: enum rmap_opcode
 * @attempt: of the last transmission
 * @missing: READ: fragments that have not come
 * @unsent: its last message has not been sent, for want of memory
 * @direct: the transport moves its page by itself, and holds it until it says
 *	memx_request_moved()
 * @given_up: when it does, the request fails
 * @patient: READ: not sent, as the server has announced the page
 *
 * These lie in an array of the device's rather than in the PDU of struct
 * request: a PDU belongs to a scheduler's request, or to a flush request that
 * borrows a tag, while the generation belongs to the tag. And a tag from the
 * wire finds its command without a look into blk-mq's tables.
 */
struct memx_cmd {
	spinlock_t lock;
	struct request *rq;
	u64 sent_ns;
	u64 first_sent_ns;
	u64 started_ns;
	u64 slot;
	u32 count;
	u32 epoch;
	u32 generation;
	u16 tag;
	u8 opcode;
	u8 attempt;
	u8 missing;
	bool unsent;
	bool direct;
	bool given_up;
	bool patient;
} ____cacheline_aligned_in_smp;

/**
 * struct memx_exchange - an ATTACH or DETACH that waits for its answer
 * @lock: softirqs off
 * @opcode: what was sent, 0 when nothing waits
 * @done: the answer has come
 * @generation: of the message sent
 * @attach_id: of the ATTACH sent
 * @status: of the answer
 * @session: that the answer names
 * @server: where the answer came from
 * @attached: its payload
 */
struct memx_exchange {
	spinlock_t lock;
	u8 opcode;
	bool done;
	u32 generation;
	u64 attach_id;
	u8 status;
	u32 session;
	u8 server[ETH_ALEN];
	struct rmap_attached attached;
};

/**
 * struct memx_tries - a series of attempts to attach
 * @count: attempts so far
 * @attach_id: of the last
 * @mtu: of the last
 * @doubted: a short frame was answered, and long ones are tried once more
 */
struct memx_tries {
	unsigned int count;
	u64 attach_id;
	unsigned int mtu;
	bool doubted;
};

/* Blocks of slots that a device's order of use has at most ... */
#define MEMX_ORDER_BLOCKS 4096
/* ... the slots that a block has at least ... */
#define MEMX_ORDER_LEAST_SLOTS 16
/* ... and the ages that are told apart. */
#define MEMX_ORDER_AGES 64

/**
 * struct memx_order_block - neighbouring slots, as the order of use sees them
 * @stamp: how young they are
 * @block: where they are
 */
struct memx_order_block {
	u64 stamp;
	u32 block;
};

/**
 * struct memx_tell - something that the server is told, and answers
 * @lock: protects the others up to @pages; softirqs off
 * @opcode: what was sent, 0 when nothing waits
 * @done: the answer has come
 * @epoch: the session that it was sent in
 * @generation: of the tag, in that session
 * @status: of the answer
 * @pages: from the answer to BEGIN
 * @payload: a page to make payloads in
 * @order: MEMX_ORDER_BLOCKS, to put blocks in order
 */
struct memx_tell {
	spinlock_t lock;
	u8 opcode;
	bool done;
	u32 epoch;
	u32 generation;
	u8 status;
	u64 pages;
	void *payload;
	struct memx_order_block *order;
};

/**
 * enum memx_postcopy_phase - how far a post-copy is; postcopy.c draws it
 * @MEMX_POSTCOPY_IDLE: there is none
 * @MEMX_POSTCOPY_PULLING: pages are coming
 * @MEMX_POSTCOPY_COMPLETE: nothing is missing any more
 * @MEMX_POSTCOPY_FAILED: pages are missing, and nobody has them
 */
enum memx_postcopy_phase {
	MEMX_POSTCOPY_IDLE,
	MEMX_POSTCOPY_PULLING,
	MEMX_POSTCOPY_COMPLETE,
	MEMX_POSTCOPY_FAILED,
};

/**
 * struct memx_postcopy - a device's post-copy, under way or the last
 * @phase: enum memx_postcopy_phase; changed by memx_postcopy_begin() and by the
 *	session's work
 * @strategy: which page goes next, NUL-padded; empty for the server's choice
 * @rate: the most bytes that may be pushed in a second, 0 for any number
 * @told: epoch of the session that the server has been told everything in
 * @ending: nothing is missing, and the server has a moment to notice
 * @longest_wait_ns: the longest that a READ took
 * @before: counters at the beginning
 */
struct memx_postcopy {
	enum memx_postcopy_phase phase;
	u8 strategy[RMAP_STRATEGY_BYTES];
	u64 rate;
	u32 told;
	bool ending;
	atomic64_t longest_wait_ns;
	u64 before[MEMX_NR_STATS];
};

/**
 * struct memx_postcopy_figures - what a post-copy has done so far
 * @phase: how far it is
 * @missing: pages that are still to come
 * @pushed: pages that have come unasked
 * @fetched: pages that have come as answers to READ
 * @network_faults: READs sent: somebody had to wait
 * @announced_faults: somebody had to wait for a page that was on its way
 * @minor_faults: reads of slots that a push had filled before
 * @unused: pushed pages that nobody has read
 * @longest_wait_us: the longest that somebody waited, microseconds
 */
struct memx_postcopy_figures {
	enum memx_postcopy_phase phase;
	u64 missing;
	u64 pushed;
	u64 fetched;
	u64 network_faults;
	u64 announced_faults;
	u64 minor_faults;
	u64 unused;
	u64 longest_wait_us;
};

/* Pages in one exchange: what blk-mq brings at a time, and as much again. */
#define MEMX_XEN_EXCHANGE_PAGES 64
/* Pages in one batch of anything else. */
#define MEMX_XEN_BATCH_PAGES 512

/* What hypercalls are for. */
enum memx_xen_kind {
	MEMX_XEN_EXCHANGE,
	MEMX_XEN_HIDE,
	MEMX_XEN_UNHIDE,
	MEMX_XEN_RELEASE,
	MEMX_XEN_POPULATE,
	MEMX_XEN_NR_KINDS,
};

/**
 * struct memx_migration - what the host says about a migration
 * @region: the region that memxd at the source serves the pages as
 * @token: its token, NUL-padded
 * @server: memxd's address, as the device's transport writes it
 * @strategy: which page goes next, by name; empty for memxd's choice
 * @rate: the most bytes that may be pushed in a second, 0 for any number
 * @prepare_s: paging out ends after so many seconds
 * @incarnation: names the frames that the pages are in; the guest's own word
 */
struct memx_migration {
	char region[RMAP_REGION_NAME_BYTES];
	char token[RMAP_TOKEN_BYTES + 1];
	char server[MEMX_SERVER_NAME_BYTES];
	char strategy[RMAP_STRATEGY_BYTES + 1];
	u64 rate;
	unsigned int prepare_s;
	u64 incarnation;
};

#ifdef CONFIG_XEN_PV
/**
 * struct memx_balloon - pages without frames
 * @dev: the device
 * @lock: protects @pages, @count, @relieved and @batch; taken in reclaim, so
 *	that nobody may allocate under it
 * @pages: the pages
 * @count: how many
 * @relieved: pages that memory pressure has taken out
 * @batch: for whoever has the lock
 * @held: the worker takes nothing out
 * @frozen: nor does memory pressure
 * @presser: the task that makes the pressure, or NULL
 * @exhausted: somebody was about to be killed since it began to make it
 * @work: takes pages out
 * @shrinker: does so under memory pressure
 * @oom: does so before anybody is killed
 */
struct memx_balloon {
	struct memx_device *dev;
	struct mutex lock;
	struct list_head pages;
	u64 count;
	u64 relieved;
	struct page *batch[MEMX_XEN_BATCH_PAGES];
	bool held;
	bool frozen;
	struct task_struct *presser;
	bool exhausted;
	struct delayed_work work;
	memx_shrinker shrinker;
	struct notifier_block oom;
};

/**
 * struct memx_pageout - paging out
 * @dev: the device
 * @task: does so gently, or NULL
 * @limit_s: for so many seconds at most
 * @errors: of the device, when last looked at
 * @gained: pages to be given to the hypervisor
 * @count: how many
 */
struct memx_pageout {
	struct memx_device *dev;
	struct task_struct *task;
	unsigned int limit_s;
	u64 errors;
	struct list_head gained;
	unsigned int count;
};

/**
 * struct memx_gather - writes that wait to be exchanged together
 * @lock: softirqs off
 * @on: writes exchange
 * @count: how many wait
 * @rqs: the writes
 * @pages: their pages
 * @frames: the pages to exchange frames with
 */
struct memx_gather {
	spinlock_t lock;
	bool on;
	unsigned int count;
	struct request *rqs[MEMX_XEN_EXCHANGE_PAGES];
	struct page *pages[MEMX_XEN_EXCHANGE_PAGES];
	struct page *frames[MEMX_XEN_EXCHANGE_PAGES];
};

/**
 * enum memx_phase - how far a migration is; pseudo.c draws it
 * @MEMX_PHASE_IDLE: there is none
 * @MEMX_PHASE_PREPARING: paging out gently, or about to
 * @MEMX_PHASE_PREPARED: ready to be suspended
 * @MEMX_PHASE_FROZEN: frames are hidden
 * @MEMX_PHASE_POSTCOPY: at the target; pages are coming
 * @MEMX_PHASE_COMPLETE: none since the last one, which is complete
 * @MEMX_PHASE_FAILED: none since one that has failed; or pages do not come
 */
enum memx_phase {
	MEMX_PHASE_IDLE,
	MEMX_PHASE_PREPARING,
	MEMX_PHASE_PREPARED,
	MEMX_PHASE_FROZEN,
	MEMX_PHASE_POSTCOPY,
	MEMX_PHASE_COMPLETE,
	MEMX_PHASE_FAILED,
};

/**
 * struct memx_pseudo - migration of the guest
 * @dev: the device
 * @phase: enum memx_phase
 * @migration: the one under way, or the last
 * @tables: of the frame tree
 * @resident: of the tree of pages that cannot be paged out
 * @batch: pages to be hidden or not
 * @work: follows a post-copy
 * @platform: suspended and resumed with the guest
 * @resumed: called when the guest runs again
 * @reserves: pages without frames that were the kernel's reserves
 * @balloon: pages without frames
 * @pageout: paging out
 * @gather: writes that wait
 */
struct memx_pseudo {
	struct memx_device *dev;
	enum memx_phase phase;
	struct memx_migration migration;
	struct list_head tables;
	struct list_head resident;
	struct page *batch[MEMX_XEN_BATCH_PAGES];
	struct delayed_work work;
	struct platform_device *platform;
	struct notifier_block resumed;
	u64 reserves;
	struct memx_balloon balloon;
	struct memx_pageout pageout;
	struct memx_gather gather;
};
#endif

/**
 * enum memx_slot_state - what a slot of a pseudo-paging device holds
 * @MEMX_SLOT_EMPTY: nothing; it reads as zeros
 * @MEMX_SLOT_LOCAL: a page that is here
 * @MEMX_SLOT_REMOTE: a page that is at the source of a migration
 */
enum memx_slot_state {
	MEMX_SLOT_EMPTY,
	MEMX_SLOT_LOCAL,
	MEMX_SLOT_REMOTE,
};

struct memx_device;
struct memx_late;
struct memx_link;
struct memx_push;
struct memx_slots;

/**
 * struct memx_transport - how frames get to the server and back
 * @name: what stands in front of the colon in a link's name
 * @owner: the module that it is in
 * @devices: how many devices use it
 * @node: in the list of transports
 * @is_reliable: in a session no message gets lost, so none is sent again and
 *	none carries less than a page
 * @join: put a device on its link. With wait, the device is being made: every
 *	reason why the link is of no use is an error. Without, memory may be
 *	waiting for this: -EAGAIN when it must come again
 * @leave: take it off; it has no session. Afterwards no message comes
 * @aim: of a device that has no session: name the server of the next one, and
 *	see that there is a way to it as far as that can be seen. May sleep. 0;
 *	-EINVAL for what is no address; or why there is no way
 * @is_usable: can frames be sent, or at least tried?
 * @connect: before an ATTACH: make a connection to the server, unless there is
 *	one that has served no session; may be NULL. 0, -EINTR, -ETIMEDOUT, or
 *	why not. Allocates nothing that waits for I/O
 * @disconnect: there will be no session any more until @connect; may be NULL
 * @mtu: the most bytes that a frame may have now, 0 without a link
 * @adopt: a session has been opened: fill in what its frames need. Under
 *	state_lock. 0, or -ENETDOWN when its link is gone
 * @opened: a session has been opened, for which nothing outstanding has been
 *	sent yet; may sleep, and be NULL
 * @window: the server's answer to WINDOW; NULL where there are none
 * @offer: a session is about to hear of BEGIN: name the memory that pushes may
 *	be written to, if there is any; NULL where there never is
 * @own_tags: tags that the transport uses itself, behind the device's
 * @add: put a message into a burst, as memx_burst_add()
 * @move: have a READ's or WRITE's page moved without the server's processor, as
 *	part of a burst; may be NULL. 0; -EOPNOTSUPP when it must go by a
 *	message; -EAGAIN when it must wait for memx_requests_hurry()
 * @send: send a burst, as memx_burst_send()
 * @drop: throw a burst away
 * @send_attach: send ATTACH, in a frame as long as @mtu says
 * @send_alone: send a message that belongs to no request of the disk, as
 *	memx_send_in_session()
 * @server_name: the server's address, as text; how long it is
 *
 * A transport of a module's own is there as long as that: see
 * memx_transport_register().
 */
struct memx_transport {
	const char *name;
	struct module *owner;
	atomic_t devices;
	struct list_head node;
	bool is_reliable;
	int (*join)(struct memx_device *dev, bool wait);
	void (*leave)(struct memx_device *dev);
	int (*aim)(struct memx_device *dev, const char *server);
	bool (*is_usable)(struct memx_device *dev);
	int (*connect)(struct memx_device *dev, bool interruptible);
	void (*disconnect)(struct memx_device *dev);
	unsigned int (*mtu)(struct memx_device *dev);
	int (*adopt)(struct memx_device *dev, struct memx_session *session);
	void (*opened)(struct memx_device *dev);
	void (*window)(struct memx_device *dev, struct memx_session *session,
		       const struct rmap_hdr *hdr, struct sk_buff *skb,
		       unsigned int offset);
	void (*offer)(struct memx_device *dev, u32 epoch,
		      struct rmap_begin *begin);
	unsigned int own_tags;
	bool (*add)(struct memx_device *dev, struct memx_session *session,
		    struct memx_burst *burst, const struct rmap_hdr *hdr,
		    struct request *rq, unsigned int offset);
	int (*move)(struct memx_device *dev, struct memx_session *session,
		    struct memx_burst *burst, const struct rmap_hdr *hdr,
		    struct request *rq);
	void (*send)(struct memx_device *dev, struct memx_burst *burst);
	void (*drop)(struct memx_device *dev, struct memx_burst *burst);
	int (*send_attach)(struct memx_device *dev, const struct rmap_hdr *hdr,
			   const struct rmap_attach *attach, unsigned int mtu);
	bool (*send_alone)(struct memx_device *dev, u32 epoch,
			   struct rmap_hdr *hdr, const void *payload);
	int (*server_name)(struct memx_device *dev, char *text, size_t bytes);
};

/**
 * struct memx_device - one /dev/memxN
 * @node: in the list of devices
 * @id: N
 * @params: how it was asked for
 * @state_lock: protects @state, @session and @unanswered_ns
 * @state: enum memx_state
 * @session: the open session, RCU
 * @sessions: @session is one of these
 * @unanswered_ns: when the server fell silent, while there is no session
 * @epoch: of the newest session
 * @incarnation: the store that the data is in
 * @slots: size of the disk
 * @queue_depth: number of tags
 * @session_timeout_ms: how long the server keeps a silent session
 * @region: name of the region; of a migration's, while @state is not
 *	MEMX_IDLE
 * @token: likewise
 * @server: the server's address, once known
 * @mtu: of the newest session
 * @timeout_s: after so long without an answer requests fail
 * @credits: how many requests may be outstanding
 * @inflight: how many are
 * @starved: a request has been turned away for want of credits
 * @scanning: somebody looks for lost requests already
 * @outstanding: bit a tag
 * @cmds: array of @queue_depth
 * @oldest_sent_ns: no outstanding request was last sent before this
 * @rtt_lock: protects writing @rtt; only ever tried
 * @rtt: round-trip estimator
 * @last_heard_ns: when a message of this session last came
 * @last_said_ns: when a frame of this session was last sent
 * @keepalive_ns: when the first unanswered keep-alive was sent, 0 for none
 * @timer: looks for lost requests while any are outstanding
 * @batches: frames that queue_rq fills
 * @map: what slots hold, NULL when the device is not for pseudo-paging
 * @late: writes that are done, NULL when @map is
 * @push: what the server pushes, NULL when @map is
 * @tell: what the server is told of a post-copy
 * @postcopy: the post-copy
 * @copies: while there is no post-copy, pages are written to the server
 * @pseudo: migration of the guest, NULL when it cannot be migrated
 * @percpu: counters
 * @work: opens and keeps the session
 * @workqueue: for @work alone: it sleeps, and reclaim may wait for it
 * @exchange: the ATTACH or DETACH under way
 * @tries: attempts to attach so far; only for whoever makes them
 * @wait: @exchange answered, status come, or state changed
 * @padding: a page of zeros to pad ATTACH with
 * @transport: how frames get to the server
 * @transport_data: the transport's
 * @link: the network device, NULL while there is none; memx_links_lock
 * @on_link: in the link's list; RCU
 * @netdev: of @link, RCU
 * @status_lock: one asks for the server's status at a time
 * @status_asked: jiffies when it was last asked for
 * @status_seen: counts the answers
 * @stored_pages: from the last answer
 * @quota_pages: from the last answer
 * @tag_set: blk-mq
 * @disk: the disk
 * @refs: the disk's and @kobj's
 * @kobj: directory memx/ under the disk's
 * @has_kobj: @kobj has been added
 * @going: somebody destroys the device
 * @forced: detach by force: the last to close the disk destroys it
 * @destroy: does so
 * @debugfs: directory
 */
struct memx_device {
	struct list_head node;
	int id;
	struct memx_params params;

	spinlock_t state_lock;
	enum memx_state state;
	struct memx_session __rcu *session;
	struct memx_session sessions[2];
	u64 unanswered_ns;
	u32 epoch;
	u64 incarnation;
	u64 slots;
	unsigned int queue_depth;
	unsigned int session_timeout_ms;
	char region[RMAP_REGION_NAME_BYTES];
	u8 token[RMAP_TOKEN_BYTES];
	u8 server[ETH_ALEN];
	unsigned int mtu;
	unsigned int timeout_s;

	unsigned int credits;
	unsigned long starved;
	unsigned long scanning;
	struct memx_cmd *cmds;
	u64 oldest_sent_ns;
	u64 last_heard_ns;
	u64 last_said_ns;
	u64 keepalive_ns;
	struct memx_percpu __percpu *percpu;
	struct timer_list timer;

	atomic_t inflight ____cacheline_aligned_in_smp;
	DECLARE_BITMAP(outstanding, RMAP_MAX_QUEUE_DEPTH);

	spinlock_t rtt_lock ____cacheline_aligned_in_smp;
	struct memx_rtt rtt;

	struct memx_batch batches[1 << MEMX_BATCH_BITS];

	struct memx_slots *map;
	struct memx_late *late;
	struct memx_push *push;
	struct memx_tell tell;
	struct memx_postcopy postcopy;
	bool copies;
	struct memx_pseudo *pseudo;

	struct delayed_work work;
	struct workqueue_struct *workqueue;
	struct memx_exchange exchange;
	struct memx_tries tries;
	wait_queue_head_t wait;
	struct page *padding;

	struct memx_transport *transport;
	void *transport_data;
	struct memx_link *link;
	struct list_head on_link;
	struct net_device __rcu *netdev;

	struct mutex status_lock;
	unsigned long status_asked;
	unsigned int status_seen;
	u64 stored_pages;
	u64 quota_pages;

	struct blk_mq_tag_set tag_set;
	struct gendisk *disk;
	struct kref refs;
	struct kobject kobj;
	bool has_kobj;
	unsigned long going;
	bool forced;
	struct work_struct destroy;
	struct dentry *debugfs;
};

/* Pages are kept here, and nowhere else but during a migration. */
static inline bool memx_is_local(const struct memx_device *dev)
{
	return dev->map && !dev->copies;
}

static inline void memx_count_many(struct memx_device *dev, enum memx_stat stat,
				   u64 by)
{
	this_cpu_add(dev->percpu->stat[stat], by);
}

static inline void memx_count(struct memx_device *dev, enum memx_stat stat)
{
	memx_count_many(dev, stat, 1);
}

/* main.c */
extern struct list_head memx_devices;
extern struct mutex memx_devices_lock;
extern wait_queue_head_t memx_device_gone;
int memx_devices_add(struct memx_device *dev);
void memx_devices_remove(struct memx_device *dev);
void memx_devices_freed(void);

/* attach.c */
bool memx_region_valid(const char *name);
ssize_t memx_attach_line(const char *line, size_t length);

/* device.c */
int memx_device_create(const struct memx_params *params);
int memx_device_detach(struct memx_device *dev, bool force);
void memx_device_destroy(struct memx_device *dev);
int memx_device_open(struct memx_device *dev);
void memx_device_release(struct memx_device *dev);
void memx_device_put(struct memx_device *dev);
int memx_destroyer_create(void);
void memx_destroyer_flush(void);
void memx_destroyer_destroy(void);

/* block.c */
int memx_block_create(struct memx_device *dev);
void memx_block_destroy(struct memx_device *dev);

/* request.c */
int memx_requests_create(struct memx_device *dev);
void memx_requests_destroy(struct memx_device *dev);
blk_status_t memx_request_start(struct memx_device *dev, struct request *rq,
				struct memx_batch *batch);
bool memx_request_give_up(struct memx_device *dev, struct request *rq);
bool memx_credit_take(struct memx_device *dev);
void memx_credit_give(struct memx_device *dev);
u64 memx_rto_now_ns(const struct memx_device *dev);
void memx_requests_sent(struct memx_device *dev, const u16 *tags,
			unsigned int count);
void memx_requests_resend(struct memx_device *dev);
void memx_requests_hurry(struct memx_device *dev);
void memx_request_moved(struct memx_device *dev, u16 tag, u32 epoch,
			bool done);
void memx_requests_fail(struct memx_device *dev);
void memx_requests_overtaken(struct memx_device *dev);
void memx_requests_arrived(struct memx_device *dev, u64 slot);
int memx_page_piece(const struct rmap_hdr *hdr, unsigned int *at);
bool memx_request_reply(struct memx_device *dev, struct memx_session *session,
			const struct rmap_hdr *hdr, struct sk_buff *skb,
			unsigned int offset);

/* payload.c */
u64 memx_payload_sum(struct request *rq, unsigned int offset,
		     unsigned int length);
bool memx_payload_is_zero(struct request *rq);
void memx_payload_zero(struct request *rq, unsigned int offset,
		       unsigned int length);
int memx_payload_receive(struct request *rq, unsigned int offset,
			 unsigned int length, struct sk_buff *skb,
			 unsigned int skb_offset);
int memx_payload_attach(struct request *rq, unsigned int offset,
			unsigned int length, struct sk_buff *skb);

void memx_payload_load(struct request *rq, struct page *page);
void memx_payload_store(struct request *rq, struct page *page);
struct folio *memx_payload_swapcache(struct request *rq);

/* slots.c */
int memx_slots_create(struct memx_device *dev, u64 count);
void memx_slots_destroy(struct memx_device *dev);
bool memx_slot_read(struct memx_device *dev, u64 slot, struct request *rq);
blk_status_t memx_slot_write(struct memx_device *dev, u64 slot,
			     struct request *rq);
void memx_slot_put(struct memx_device *dev, u64 slot, struct page *page);
void memx_slot_sent(struct memx_device *dev, u64 slot);
void memx_slots_free(struct memx_device *dev, u64 slot, u64 count);
void memx_slots_seal(struct memx_device *dev, bool sealed);
bool memx_slot_arrived(struct memx_device *dev, u64 slot, struct page *page);
void memx_slot_fetched(struct memx_device *dev, u64 slot, struct request *rq);
struct page *memx_slot_depart(struct memx_device *dev, u64 slot);
struct page *memx_slot_page(struct memx_device *dev, u64 slot);
bool memx_slot_is_remote(struct memx_device *dev, u64 slot);
u64 memx_slot_stamp(struct memx_device *dev, u64 slot);
u64 memx_slots_used(const struct memx_device *dev);
u64 memx_slots_missing(const struct memx_device *dev);
u64 memx_slots_unread(const struct memx_device *dev);
void memx_slots_count_unread(struct memx_device *dev);
struct page *memx_page_take(struct memx_device *dev);
void memx_page_give(struct memx_device *dev, struct page *page);
bool memx_pool_put(struct memx_device *dev, struct page *page);
void memx_pool_close(struct memx_device *dev, struct list_head *pages);
unsigned long memx_pool_resize(struct memx_device *dev, bool large);
void memx_pool_open(struct memx_device *dev);
bool memx_pool_fills(const struct memx_device *dev);
void memx_slots_unmark(struct memx_device *dev, unsigned long *pfns,
		       unsigned long count);

/* session.c */
void memx_session_init(struct memx_device *dev);
int memx_session_open(struct memx_device *dev);
void memx_session_begin(struct memx_device *dev);
void memx_session_lost(struct memx_device *dev, u64 since_ns, const char *why);
void memx_session_kick(struct memx_device *dev);
void memx_session_stop(struct memx_device *dev);
void memx_session_close(struct memx_device *dev);
void memx_session_answer(struct memx_device *dev, const u8 *from,
			 const struct rmap_hdr *hdr, struct sk_buff *skb,
			 unsigned int offset);
void memx_session_credits(struct memx_device *dev, unsigned int credits);
void memx_session_ask_status(struct memx_device *dev);
void memx_session_start(struct memx_device *dev,
			const struct memx_migration *migration);
void memx_session_finish(struct memx_device *dev);
const char *memx_state_name(enum memx_state state);

/* copy.c */
bool memx_copy_request(struct memx_device *dev, struct request *rq,
		       blk_status_t *status);
int memx_copy_back(struct memx_device *dev, const char *line);

/* postcopy.c */
int memx_postcopy_begin(struct memx_device *dev, const char *strategy,
			u64 rate);
bool memx_postcopy_is_on(const struct memx_device *dev);
void memx_postcopy_figures(struct memx_device *dev,
			   struct memx_postcopy_figures *figures);
const char *memx_postcopy_phase_name(enum memx_postcopy_phase phase);
void memx_postcopy_waited(struct memx_device *dev, u64 ns);
void memx_postcopy_lost(struct memx_device *dev);
unsigned long memx_postcopy_work(struct memx_device *dev);
void memx_postcopy_give_up(struct memx_device *dev);

/* tell.c */
int memx_tell_begin(struct memx_device *dev, u32 epoch, u64 *pages);
int memx_tell_end(struct memx_device *dev, u32 epoch);
int memx_tell_discard(struct memx_device *dev, u32 epoch);
void memx_tell_answer(struct memx_device *dev, struct memx_session *session,
		      const struct rmap_hdr *hdr, struct sk_buff *skb,
		      unsigned int offset);
int memx_tell_create(struct memx_device *dev);
void memx_tell_destroy(struct memx_device *dev);

/* push.c */
bool memx_push_receive(struct memx_device *dev, struct memx_session *session,
		       const struct rmap_hdr *hdr, struct sk_buff *skb,
		       unsigned int offset);
void memx_push_begin(struct memx_device *dev, u32 epoch);
void memx_push_announce(struct memx_device *dev, const struct rmap_hdr *hdr);
bool memx_push_is_announced(struct memx_device *dev, u64 slot);
u64 memx_push_patience_ns(const struct memx_device *dev);
void memx_push_waited(struct memx_device *dev, u64 ns);
void memx_push_stop(struct memx_device *dev);
bool memx_push_has_ended(struct memx_device *dev);
int memx_push_create(struct memx_device *dev);
void memx_push_destroy(struct memx_device *dev);

/* transport.c */
struct memx_transport *memx_transport_get(const char *link);
void memx_transport_put(struct memx_transport *transport);
void memx_transport_left(struct memx_device *dev);
int memx_transport_register(struct memx_transport *transport);
void memx_transport_unregister(struct memx_transport *transport);
void memx_burst_init(struct memx_burst *burst);
void memx_burst_take(struct memx_burst *burst, struct memx_burst *from,
		     bool all);

/**
 * memx_burst_add - put a message into a frame
 * @dev: the device
 * @session: its session
 * @burst: frames being filled, protected by the caller
 * @hdr: the header; its checksum is filled in here
 * @rq: the request whose page holds the payload, or NULL when there is none;
 *	it cannot end meanwhile
 * @offset: where in the page the payload begins
 *
 * Return: false when there was no memory for it.
 */
static inline bool memx_burst_add(struct memx_device *dev,
				  struct memx_session *session,
				  struct memx_burst *burst,
				  const struct rmap_hdr *hdr,
				  struct request *rq, unsigned int offset)
{
	return dev->transport->add(dev, session, burst, hdr, rq, offset);
}

/**
 * memx_burst_send - send frames
 * @dev: the device
 * @burst: the frames; empty afterwards
 *
 * Frames of a session that has ended are not sent. Only here does a request
 * learn when it was sent: measured from when its message was made, the round
 * trip would contain the making of its neighbours'.
 *
 * Context: softirqs may be off, hard interrupts not, and no lock is held that
 * queue_rq or the receiving side takes.
 */
static inline void memx_burst_send(struct memx_device *dev,
				   struct memx_burst *burst)
{
	burst->open = NULL;
	if (!list_empty(&burst->frames))
		dev->transport->send(dev, burst);
}

/**
 * memx_burst_drop - throw frames away
 * @dev: the device
 * @burst: the frames
 */
static inline void memx_burst_drop(struct memx_device *dev,
				   struct memx_burst *burst)
{
	burst->open = NULL;
	if (!list_empty(&burst->frames))
		dev->transport->drop(dev, burst);
}

/**
 * memx_send_in_session - send a message that belongs to no request of the disk
 * @dev: the device
 * @epoch: the session it is for
 * @hdr: the header; its session and its checksum are filled in here
 * @payload: what follows the header
 *
 * Without memory for the frame, it is as if it had been lost.
 *
 * Return: false when that session is over.
 */
static inline bool memx_send_in_session(struct memx_device *dev, u32 epoch,
					struct rmap_hdr *hdr,
					const void *payload)
{
	return dev->transport->send_alone(dev, epoch, hdr, payload);
}

/* message.c */

/**
 * typedef memx_find_t - whom a message is for
 * @priv: of memx_frame_receive()
 * @hdr: the message's header, not verified
 * @from: of memx_frame_receive()
 * @session: the device's session, if the message names it, else NULL
 *
 * Return: the device or NULL. RCU read side.
 */
typedef struct memx_device *memx_find_t(void *priv, const struct rmap_hdr *hdr,
					const u8 *from,
					struct memx_session **session);

void memx_frame_receive(struct memx_device *owner, struct sk_buff *skb,
			const u8 *from, memx_find_t *find, void *priv);
bool memx_sum_matches(const struct rmap_hdr *hdr, struct sk_buff *skb,
		      unsigned int offset);
u64 memx_header_sum(const struct rmap_hdr *hdr, u64 payload_sum);

/* ethernet.c */
extern struct memx_transport memx_ethernet;
unsigned int memx_receive(void *priv, struct sk_buff *skb,
			  const struct nf_hook_state *state);

/* link.c */

/**
 * struct memx_link - a network device with memx devices on it
 * @node: in the list of links
 * @netdev: holds a reference
 * @ops: the hook that takes frames
 * @devices: RCU
 */
struct memx_link {
	struct list_head node;
	struct net_device *netdev;
	struct nf_hook_ops ops;
	struct list_head devices;
};

int memx_link_join(struct memx_device *dev, bool wait);
void memx_link_leave(struct memx_device *dev);
bool memx_link_is_usable(struct memx_device *dev);
unsigned int memx_link_mtu(struct memx_device *dev);
int memx_memalloc_get(void);
void memx_memalloc_put(void);
int memx_links_init(void);
void memx_links_exit(void);

/* sysfs.c */
int memx_class_create(void);
void memx_class_destroy(void);
int memx_sysfs_add(struct memx_device *dev);
void memx_sysfs_remove(struct memx_device *dev);
u64 memx_stat_sum(const struct memx_device *dev, enum memx_stat stat);
void memx_latency_sum(const struct memx_device *dev, bool write, u64 *counts);

/* debugfs.c */
void memx_debugfs_init(void);
void memx_debugfs_exit(void);
void memx_debugfs_add(struct memx_device *dev);
void memx_debugfs_remove(struct memx_device *dev);

/* late.c */
int memx_late_create(struct memx_device *dev);
void memx_late_destroy(struct memx_device *dev);
void memx_late_add(struct memx_device *dev, struct request *rq);
void memx_late_batch(struct memx_device *dev);
void memx_late_end(struct memx_device *dev);

#ifdef CONFIG_XEN_PV
/* pseudo.c */
int memx_pseudo_begin(struct memx_device *dev);
void memx_pseudo_end(struct memx_device *dev);
void memx_pseudo_prepare(struct memx_device *dev,
			 const struct memx_migration *migration);
void memx_pseudo_progress(struct memx_device *dev);
void memx_pseudo_page_out(struct memx_device *dev);
void memx_pseudo_prepared(struct memx_device *dev);
void memx_pseudo_cancel(struct memx_device *dev);
void __printf(2, 3) memx_pseudo_refuse(struct memx_device *dev,
				       const char *format, ...);
const char *memx_phase_name(enum memx_phase phase);

/* pageout.c */
void memx_pageout_init(struct memx_pageout *pageout, struct memx_device *dev);
int memx_pageout_start(struct memx_pageout *pageout, unsigned int limit_s);
void memx_pageout_stop(struct memx_pageout *pageout);
void memx_pageout_frozen(struct memx_pageout *pageout);
u64 memx_pageout_reserves(struct memx_pageout *pageout);

/* exchange.c */
void memx_gather_init(struct memx_gather *gather);
void memx_exchange_set(struct memx_device *dev, bool on);
bool memx_exchange_gather(struct memx_device *dev, struct request *rq);
void memx_exchange_commit(struct memx_device *dev);
u64 memx_exchange_settle(struct memx_device *dev);

/* frames.c */
int memx_frames_alloc(struct list_head *tables, u64 slots);
struct page *memx_frames_build(struct list_head *tables, u64 slots,
			       struct page *(*page_of)(void *data, u64 slot),
			       void *data, u64 *generation);

/* resident.c */
void memx_resident_publish(struct memx_device *dev);
void memx_resident_forget(struct memx_device *dev);

/* balloon.c */
int memx_balloon_create(struct memx_balloon *balloon, struct memx_device *dev);
void memx_balloon_destroy(struct memx_balloon *balloon);
void memx_balloon_give(struct memx_balloon *balloon, struct list_head *pages);
void memx_balloon_adopt(struct memx_balloon *balloon, struct list_head *pages,
			u64 count);
u64 memx_balloon_take(struct memx_balloon *balloon, u64 most);
void memx_balloon_hold(struct memx_balloon *balloon);
void memx_balloon_drain(struct memx_balloon *balloon);
void memx_balloon_freeze(struct memx_balloon *balloon);
void memx_balloon_thaw(struct memx_balloon *balloon);

/* xenstore.c */
int memx_xenstore_begin(struct memx_device *dev);
void memx_xenstore_end(void);
void memx_xenstore_introduce(struct memx_device *dev);
void __printf(2, 3) memx_xenstore_write(const char *key, const char *format,
					...);
void memx_xenstore_remove(const char *key);

/* xen.c */
bool memx_xen_guest(void);
int memx_xen_exchange(struct page **pages, struct page **others,
		      unsigned int count);
int memx_xen_hide(struct page **pages, unsigned int count);
int memx_xen_unhide(struct page **pages, unsigned int count);
unsigned int memx_xen_release(struct page **pages, unsigned int count);
unsigned int memx_xen_populate(struct page **pages, unsigned int count);
unsigned long memx_xen_mfn(struct page *page);
bool memx_xen_consistent(struct page *page);
u64 memx_xen_hypercalls(enum memx_xen_kind kind);
u64 memx_xen_pages(enum memx_xen_kind kind);

/* selftest.c */
int memx_selftest(void);
#else
/* Frames are a Xen PV guest's; this kernel cannot be one. */
static inline bool memx_xen_guest(void)
{
	return false;
}

static inline int memx_pseudo_begin(struct memx_device *dev)
{
	return -EOPNOTSUPP;
}

static inline void memx_pseudo_end(struct memx_device *dev)
{
}

static inline bool memx_exchange_gather(struct memx_device *dev,
					struct request *rq)
{
	return false;
}

static inline void memx_exchange_commit(struct memx_device *dev)
{
}
#endif

#endif /* MEMX_H */
