/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * RMAP, the remote memory access protocol: the wire format, version 1.
 *
 * This is the only copy. The kernel module includes it and Swift imports it.
 * docs/PROTOCOL.md gives the rules behind each field, with byte-exact examples.
 *
 * A frame is one or more messages, one straight after the other. A message is
 * a struct rmap_hdr and @length bytes of payload. Multi-byte fields are
 * little-endian, every field lies on its natural alignment, and whatever is
 * called reserved is sent as zero and ignored on receipt.
 */
#ifndef RMAP_H
#define RMAP_H

#include <linux/types.h>

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#else
#include <assert.h>
#include <stddef.h>
#endif

/* IEEE Std 802 local experimental EtherType 1. */
#define RMAP_ETHERTYPE 0x88B5

#define RMAP_VERSION 1

/* One slot holds one page. */
#define RMAP_PAGE_BYTES 4096

/*
 * A page that does not fit one frame travels as fragments: fragment i covers
 * bytes [i * RMAP_FRAGMENT_BYTES, min((i + 1) * RMAP_FRAGMENT_BYTES, 4096)).
 */
#define RMAP_FRAGMENT_BYTES 1376
#define RMAP_FRAGMENTS 3
#define RMAP_ALL_FRAGMENTS 0x07

/* The least MTU (bytes behind the Ethernet header) that RMAP runs over. */
#define RMAP_MIN_MTU (40 + RMAP_FRAGMENT_BYTES)
/* From this MTU on, a page is one frame. */
#define RMAP_WHOLE_PAGE_MTU (40 + RMAP_PAGE_BYTES)
/* The greatest MTU a session may agree on. */
#define RMAP_MAX_MTU 9000

/* The most requests that one session may have outstanding. */
#define RMAP_MAX_QUEUE_DEPTH 512
/* The tag of a message that belongs to no request. */
#define RMAP_NO_TAG 0xFFFF
/* The most slots a region may have: 16 TiB. */
#define RMAP_MAX_SLOTS (1ULL << 32)
/* The most slots that one DISCARD may name. */
#define RMAP_MAX_DISCARD_SLOTS (1U << 16)

#define RMAP_REGION_NAME_BYTES 32
#define RMAP_TOKEN_BYTES 32

/* The most pushes that may be on their way to a client at a time. */
#define RMAP_PUSH_WINDOW 64
/* The most slots that one header may announce, in either direction. */
#define RMAP_MAX_ANNOUNCED 127
/* The most extents that one HINT may carry. */
#define RMAP_MAX_HINT_EXTENTS 84
/* The most extents that a client's LRU order may have. */
#define RMAP_MAX_ORDER_EXTENTS (1U << 20)
/* The most bytes of bitmap that one HAVE may carry, each standing for eight slots. */
#define RMAP_MAX_HAVE_BYTES 1024
#define RMAP_STRATEGY_BYTES 32

/**
 * enum rmap_opcode - what a message is
 * @RMAP_PAD: the rest of the frame is padding
 * @RMAP_ATTACH: open a session on a named region (struct rmap_attach)
 * @RMAP_READ: ask for one page, or for the fragments of it that are missing
 * @RMAP_WRITE: store one page
 * @RMAP_DISCARD: forget @count slots from @slot on; they read as zeros
 * @RMAP_FLUSH: answered once every write acknowledged before it is as durable
 *	as the region can make it
 * @RMAP_KEEPALIVE: keeps an idle session open, and asks whether it still is
 * @RMAP_STATUS: ask for struct rmap_region_status
 * @RMAP_DETACH: close the session; the region keeps its pages
 * @RMAP_HINT: a part of the order in which the client's pages were last used
 *	(array of struct rmap_extent)
 * @RMAP_HAVE: slots that the client does not need (bitmap)
 * @RMAP_BEGIN: begin post-copy: from now on the server pushes (struct rmap_begin)
 * @RMAP_PUSH: from the server, unasked: a page
 * @RMAP_PUSHED: from the client, never answered: which pushes have arrived
 * @RMAP_END: end post-copy: the server stops pushing (struct rmap_end)
 * @RMAP_WINDOW: over RDMA: ask for the region's memory to be reached directly
 *	(answered with struct rmap_window)
 * @RMAP_ERROR: from the server: the frame could not be taken, @status says why
 * @RMAP_REPLY: set in the opcode of the answer to a request
 */
enum rmap_opcode {
	RMAP_PAD = 0x00,
	RMAP_ATTACH = 0x01,
	RMAP_READ = 0x02,
	RMAP_WRITE = 0x03,
	RMAP_DISCARD = 0x04,
	RMAP_FLUSH = 0x05,
	RMAP_KEEPALIVE = 0x06,
	RMAP_STATUS = 0x07,
	RMAP_DETACH = 0x08,
	RMAP_HINT = 0x09,
	RMAP_HAVE = 0x0A,
	RMAP_BEGIN = 0x0B,
	RMAP_PUSH = 0x0C,
	RMAP_PUSHED = 0x0D,
	RMAP_END = 0x0E,
	RMAP_WINDOW = 0x0F,
	RMAP_ERROR = 0x7F,
	RMAP_REPLY = 0x80,
};

/**
 * enum rmap_status - how a request ended
 * @RMAP_OK: done
 * @RMAP_BAD_VERSION: the server speaks the version in the reply's header
 * @RMAP_BAD_OPCODE: no such request in this version
 * @RMAP_BAD_MESSAGE: a field contradicts another, or its range
 * @RMAP_BAD_SESSION: no such session (any more); attach again
 * @RMAP_NO_REGION: no region of that name
 * @RMAP_DENIED: this client or token may not attach to the region
 * @RMAP_BUSY: another client is attached to the region
 * @RMAP_TOO_LARGE: the region is smaller than the size asked for
 * @RMAP_OUT_OF_RANGE: the slot lies behind the region's end
 * @RMAP_NO_SPACE: the region's quota or the server's memory is used up
 * @RMAP_LOST: the slot's contents went with an earlier incarnation; of an
 *	ATTACH: and the region holds another client's pages by now
 * @RMAP_IO_ERROR: the server's store failed
 * @RMAP_TOO_MANY: the server has as many sessions as it may have
 * @RMAP_NO_STRATEGY: the server does not know the strategy that BEGIN names
 * @RMAP_READ_ONLY: the region's pages can be read and discarded, not written
 * @RMAP_NO_WINDOW: this region's memory cannot be reached directly over this
 *	link
 */
enum rmap_status {
	RMAP_OK = 0,
	RMAP_BAD_VERSION = 1,
	RMAP_BAD_OPCODE = 2,
	RMAP_BAD_MESSAGE = 3,
	RMAP_BAD_SESSION = 4,
	RMAP_NO_REGION = 5,
	RMAP_DENIED = 6,
	RMAP_BUSY = 7,
	RMAP_TOO_LARGE = 8,
	RMAP_OUT_OF_RANGE = 9,
	RMAP_NO_SPACE = 10,
	RMAP_LOST = 11,
	RMAP_IO_ERROR = 12,
	RMAP_TOO_MANY = 13,
	RMAP_NO_STRATEGY = 14,
	RMAP_READ_ONLY = 15,
	RMAP_NO_WINDOW = 16,
};

/**
 * struct rmap_hdr - in front of every message
 * @version: RMAP_VERSION
 * @opcode: enum rmap_opcode
 * @status: enum rmap_status in a reply, 0 in a request
 * @attempt: 0 when a request is first sent, one more each time it is sent
 *	again (255 stays 255); a reply carries that of the message it answers
 * @session: from the reply to ATTACH; 0 in ATTACH
 * @tag: which of the session's outstanding requests this is, below the queue
 *	depth agreed on, or RMAP_NO_TAG
 * @credits: in a reply: how many requests the session may have outstanding
 *	from now on; PUSHED: how many pushes the client can take at a time;
 *	0 in others
 * @generation: one more each time @tag is used for a new request; with @tag it
 *	is the cookie that tells a late duplicate from a current message. PUSH:
 *	its sequence number. PUSHED: the first sequence number that has not
 *	arrived
 * @slot: the (first) slot. PUSHED: bit i is set when the push with sequence
 *	number @generation + 1 + i has arrived
 * @length: bytes of payload behind this header
 * @fragments: bit i stands for fragment i. READ: those wanted. WRITE, PUSH and
 *	the reply to READ: those carried, one of them or all; a PUSH with none
 *	says that there is nothing more to push. 0 in others
 * @ahead: PUSH and the reply to READ: how many slots from @count on, upwards
 *	when positive and downwards when negative, will be pushed very soon,
 *	so that the client need not ask for them; 0 in others
 * @count: DISCARD: number of slots. READ: which thread of control waits for
 *	the page, 0 when not known. HINT: place of its first extent in the whole
 *	order. PUSH and the reply to READ: see @ahead. PUSHED: how many pushed
 *	pages the client had no use for, in all. 0 in others
 * @checksum: XXH64 of the 32 bytes in front of this field, seeded with the
 *	XXH64 (seed 0) of the payload, or with 0 when there is none
 */
struct rmap_hdr {
	__u8 version;
	__u8 opcode;
	__u8 status;
	__u8 attempt;
	__le32 session;
	__le16 tag;
	__le16 credits;
	__le32 generation;
	__le64 slot;
	__le16 length;
	__u8 fragments;
	__s8 ahead;
	__le32 count;
	__le64 checksum;
};

#define RMAP_HDR_BYTES 40
/* How much of the header the checksum covers. */
#define RMAP_HDR_SUMMED_BYTES 32

/**
 * struct rmap_attach - payload of ATTACH
 * @region: name of the region, NUL-padded, at least one NUL
 * @token: the region's token, NUL-padded
 * @slots: slots that the client wants, 0 for as many as the region has
 * @attach_id: greater than in any earlier attach of this client to this
 *	region (its wall clock in nanoseconds serves)
 * @incarnation: the store that the client's data is in, as the last reply
 *	named it; 0 when the client has no data there
 * @mtu: the most bytes that a frame of this session may have behind its
 *	Ethernet header
 * @queue_depth: requests that the client would like to have outstanding
 * @reserved: zero
 */
struct rmap_attach {
	__u8 region[RMAP_REGION_NAME_BYTES];
	__u8 token[RMAP_TOKEN_BYTES];
	__le64 slots;
	__le64 attach_id;
	__le64 incarnation;
	__le16 mtu;
	__le16 queue_depth;
	__le32 reserved;
};

#define RMAP_ATTACH_BYTES 96

/* In rmap_attached.flags: the store is not the one that the client named. */
#define RMAP_ATTACHED_LOST 0x1

/**
 * struct rmap_attached - payload of the reply to ATTACH when its status is OK
 * @slots: slots of the region, as many as asked for
 * @attach_id: of the request
 * @incarnation: names the store: another number means other contents
 * @mtu: as asked for, or the server's, whichever is less
 * @queue_depth: as asked for, or less; tags are below it
 * @flags: RMAP_ATTACHED_LOST
 * @session_timeout_ms: the session ends when the server has heard nothing for
 *	so long; a client says something at least every third of it
 * @reserved: zero
 */
struct rmap_attached {
	__le64 slots;
	__le64 attach_id;
	__le64 incarnation;
	__le16 mtu;
	__le16 queue_depth;
	__le32 flags;
	__le32 session_timeout_ms;
	__le32 reserved;
};

#define RMAP_ATTACHED_BYTES 40

/**
 * struct rmap_region_status - payload of the reply to STATUS
 * @slots: slots of the region
 * @stored: slots that hold a page
 * @quota: the most slots that may hold a page
 * @reserved: zero
 */
struct rmap_region_status {
	__le64 slots;
	__le64 stored;
	__le64 quota;
	__le64 reserved;
};

#define RMAP_REGION_STATUS_BYTES 32

/**
 * struct rmap_extent - slots that were last used at about the same time; HINT
 *	carries them, the most recently used first
 * @slot: the first slot
 * @count: number of slots
 * @reserved: zero
 */
struct rmap_extent {
	__le64 slot;
	__le32 count;
	__le32 reserved;
};

#define RMAP_EXTENT_BYTES 16

/**
 * struct rmap_begin - payload of BEGIN
 * @strategy: which page goes next, by name, NUL-padded; empty: the server's
 *	choice
 * @rate: the most bytes of pages that the server may push in a second, 0 for
 *	as many as the network carries
 * @extents: how many extents the HINTs before have carried
 * @window: how many pushes the client can take at a time, 1 to
 *	RMAP_PUSH_WINDOW
 * @reserved: zero
 * @buffers: over RDMA: where the client's buffers for pushes are, which the
 *	server may write; 0: there are none, and pushes are sent
 * @key: their remote key; valid for this connection alone
 * @reserved2: zero
 */
struct rmap_begin {
	__u8 strategy[RMAP_STRATEGY_BYTES];
	__le64 rate;
	__le32 extents;
	__le16 window;
	__le16 reserved;
	__le64 buffers;
	__le32 key;
	__le32 reserved2;
};

#define RMAP_BEGIN_BYTES 64

/*
 * Of the buffers for pushes there are RMAP_PUSH_WINDOW, one behind the other.
 * Push n is written to buffer n % RMAP_PUSH_WINDOW.
 */
#define RMAP_PUSH_BUFFER_BYTES RMAP_WHOLE_PAGE_MTU

/**
 * struct rmap_begun - payload of the reply to BEGIN when its status is OK
 * @pages: pages that the client does not have yet
 * @reserved: zero
 */
struct rmap_begun {
	__le64 pages;
	__le64 reserved;
};

#define RMAP_BEGUN_BYTES 16

/**
 * struct rmap_end - payload of END: how the pages served
 * @unused: pushed pages that nothing used before the end, all ones when the
 *	client cannot know
 * @reserved: zero
 */
struct rmap_end {
	__le64 unused;
	__le64 reserved;
};

#define RMAP_END_BYTES 16

/* Over RDMA: docs/PROTOCOL.md section 10. */
#define RMAP_RDMA_PORT 34997 /* unless said otherwise; the EtherType's number */
#define RMAP_HELLO_MAGIC 0x50414d52u /* "RMAP" */

/**
 * struct rmap_hello - private data of a connection's request, of its acceptance
 *	and of its refusal
 * @magic: RMAP_HELLO_MAGIC
 * @version: RMAP_VERSION
 * @status: in a refusal why, enum rmap_status; else 0
 * @frame_bytes: the most bytes of a message that who says this can take
 * @receives: how many receives who says this keeps posted; the other end has
 *	at most so many messages on their way
 * @reserved: zero
 */
struct rmap_hello {
	__le32 magic;
	__u8 version;
	__u8 status;
	__le16 frame_bytes;
	__le32 receives;
	__le32 reserved;
};

#define RMAP_HELLO_BYTES 16

/**
 * struct rmap_window - payload of the reply to WINDOW when its status is OK
 * @address: where slot 0 is, for RDMA reads and writes; slot n is 4096 n behind
 * @slots: how many slots can be reached, those of the session
 * @key: the remote key; valid for this connection alone, until the session ends
 * @reserved: zero
 */
struct rmap_window {
	__le64 address;
	__le64 slots;
	__le32 key;
	__le32 reserved;
};

#define RMAP_WINDOW_BYTES 24

static_assert(sizeof(struct rmap_hdr) == RMAP_HDR_BYTES, "rmap_hdr size");
static_assert(offsetof(struct rmap_hdr, opcode) == 1, "rmap_hdr.opcode");
static_assert(offsetof(struct rmap_hdr, status) == 2, "rmap_hdr.status");
static_assert(offsetof(struct rmap_hdr, attempt) == 3, "rmap_hdr.attempt");
static_assert(offsetof(struct rmap_hdr, session) == 4, "rmap_hdr.session");
static_assert(offsetof(struct rmap_hdr, tag) == 8, "rmap_hdr.tag");
static_assert(offsetof(struct rmap_hdr, credits) == 10, "rmap_hdr.credits");
static_assert(offsetof(struct rmap_hdr, generation) == 12, "rmap_hdr.generation");
static_assert(offsetof(struct rmap_hdr, slot) == 16, "rmap_hdr.slot");
static_assert(offsetof(struct rmap_hdr, length) == 24, "rmap_hdr.length");
static_assert(offsetof(struct rmap_hdr, fragments) == 26, "rmap_hdr.fragments");
static_assert(offsetof(struct rmap_hdr, ahead) == 27, "rmap_hdr.ahead");
static_assert(offsetof(struct rmap_hdr, count) == 28, "rmap_hdr.count");
static_assert(offsetof(struct rmap_hdr, checksum) == RMAP_HDR_SUMMED_BYTES,
	      "rmap_hdr.checksum");
static_assert(sizeof(struct rmap_attach) == RMAP_ATTACH_BYTES, "rmap_attach size");
static_assert(offsetof(struct rmap_attach, token) == 32, "rmap_attach.token");
static_assert(offsetof(struct rmap_attach, slots) == 64, "rmap_attach.slots");
static_assert(offsetof(struct rmap_attach, attach_id) == 72, "rmap_attach.attach_id");
static_assert(offsetof(struct rmap_attach, incarnation) == 80,
	      "rmap_attach.incarnation");
static_assert(offsetof(struct rmap_attach, mtu) == 88, "rmap_attach.mtu");
static_assert(offsetof(struct rmap_attach, queue_depth) == 90,
	      "rmap_attach.queue_depth");
static_assert(sizeof(struct rmap_attached) == RMAP_ATTACHED_BYTES,
	      "rmap_attached size");
static_assert(offsetof(struct rmap_attached, attach_id) == 8,
	      "rmap_attached.attach_id");
static_assert(offsetof(struct rmap_attached, incarnation) == 16,
	      "rmap_attached.incarnation");
static_assert(offsetof(struct rmap_attached, mtu) == 24, "rmap_attached.mtu");
static_assert(offsetof(struct rmap_attached, queue_depth) == 26,
	      "rmap_attached.queue_depth");
static_assert(offsetof(struct rmap_attached, flags) == 28, "rmap_attached.flags");
static_assert(offsetof(struct rmap_attached, session_timeout_ms) == 32,
	      "rmap_attached.session_timeout_ms");
static_assert(sizeof(struct rmap_region_status) == RMAP_REGION_STATUS_BYTES,
	      "rmap_region_status size");
static_assert(offsetof(struct rmap_region_status, stored) == 8,
	      "rmap_region_status.stored");
static_assert(offsetof(struct rmap_region_status, quota) == 16,
	      "rmap_region_status.quota");
static_assert(sizeof(struct rmap_extent) == RMAP_EXTENT_BYTES, "rmap_extent size");
static_assert(offsetof(struct rmap_extent, count) == 8, "rmap_extent.count");
static_assert(sizeof(struct rmap_begin) == RMAP_BEGIN_BYTES, "rmap_begin size");
static_assert(offsetof(struct rmap_begin, rate) == 32, "rmap_begin.rate");
static_assert(offsetof(struct rmap_begin, extents) == 40, "rmap_begin.extents");
static_assert(offsetof(struct rmap_begin, window) == 44, "rmap_begin.window");
static_assert(offsetof(struct rmap_begin, buffers) == 48, "rmap_begin.buffers");
static_assert(offsetof(struct rmap_begin, key) == 56, "rmap_begin.key");
static_assert(sizeof(struct rmap_begun) == RMAP_BEGUN_BYTES, "rmap_begun size");
static_assert(sizeof(struct rmap_end) == RMAP_END_BYTES, "rmap_end size");
static_assert(sizeof(struct rmap_hello) == RMAP_HELLO_BYTES, "rmap_hello size");
static_assert(offsetof(struct rmap_hello, version) == 4, "rmap_hello.version");
static_assert(offsetof(struct rmap_hello, frame_bytes) == 6,
	      "rmap_hello.frame_bytes");
static_assert(offsetof(struct rmap_hello, receives) == 8, "rmap_hello.receives");
static_assert(sizeof(struct rmap_window) == RMAP_WINDOW_BYTES,
	      "rmap_window size");
static_assert(offsetof(struct rmap_window, slots) == 8, "rmap_window.slots");
static_assert(offsetof(struct rmap_window, key) == 16, "rmap_window.key");

#endif /* RMAP_H */
