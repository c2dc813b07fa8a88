/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memx.h - a region of a memory server as memory of a C program
 *
 * A program opens a region that memxd serves and gets its pages by post-copy: a
 * thread that touches a page which is missing waits until it has been fetched,
 * while the server pushes the others before they are touched. The other threads
 * keep running. What the program writes stays with it; nothing goes back.
 *
 * A VM monitor that has registered its guest's memory with a userfaultfd of its
 * own hands that over instead, as Firecracker does: see memx_receive() and
 * memx_open_handed().
 *
 * Errors
 *	Functions that return int give 0, or what they are documented to give, or a
 *	negative errno value. With it they put a sentence for people into @error:
 *	what was wrong, where, and what to do; cut to @error_bytes, always ended by
 *	a NUL, "" on success. @error may be NULL when @error_bytes is 0.
 *
 * SIGBUS
 *	A page that cannot be had raises SIGBUS in each thread that touches it,
 *	those that wait for it included: when the server refuses it or has lost it,
 *	when it has not come for give_up_ms, after memx_stop(), and once the service
 *	has failed for any reason that memx_wait() tells. si_addr is the address
 *	touched; si_code is BUS_MCEERR_AR or BUS_ADRERR, depending on the kernel. A
 *	system call that comes upon such a page fails, as a rule with EFAULT. No page
 *	ever holds anything but what the server had or the program wrote.
 *
 * Threads
 *	Every function may be called from any thread at any time, with one exception:
 *	memx_close() must be the last call on its memory, and nothing may touch the
 *	memory any more. Each memory has one thread, "memx-postcopy", which has all
 *	signals blocked and calls nothing of the program's but malloc() and free().
 *	None of these functions may be called from a signal handler.
 *
 * Processes
 *	A forked child does not have the memory (MADV_DONTFORK), and may not use
 *	struct memx_memory.
 *
 * Needs
 *	CAP_NET_RAW; and, to serve faults of the program itself, CAP_SYS_PTRACE, or
 *	read and write access to /dev/userfaultfd, or vm.unprivileged_userfaultfd=1.
 */
#ifndef MEMX_H
#define MEMX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A slot of a region and a page of memory, in bytes. */
#define MEMX_PAGE_BYTES 4096

#define MEMX_VERSION "1.0.0"

/* Room for the longest message that memx puts into an error buffer. */
#define MEMX_ERROR_BYTES 512

/* The most mappings of one memory. */
#define MEMX_MAX_MAPPINGS 512

/* For memx_options.busy_poll_us: the service thread sleeps at once. */
#define MEMX_NO_BUSY_POLL UINT32_MAX

/* For memx_options.flags: note in which order pages are first waited for; see memx_touches(). */
#define MEMX_RECORD_TOUCHES 1u

/* A region's memory and the thread that moves its pages. */
struct memx_memory;

/**
 * struct memx_extent - slots one after the other
 * @slot: the first
 * @count: how many
 * @reserved: 0
 */
struct memx_extent {
	uint64_t slot;
	uint32_t count;
	uint32_t reserved;
};

/**
 * struct memx_options - where the pages are, and how they are to come
 * @size: sizeof(struct memx_options). It tells versions of the structure apart:
 *	a program built with an older header gets defaults for what it does not
 *	know, and one built with a newer header gets -E2BIG if it sets a member
 *	which this library does not know.
 * @link: the Ethernet interface behind which the server is
 * @region: the region's name
 * @token: what the region asks for, up to 32 bytes; NULL for none
 * @server: the server's address as "aa:bb:cc:dd:ee:ff"; NULL to find it by
 *	broadcast, in which case a refusal shows as -ETIMEDOUT
 * @strategy: which page goes next, as "streams+lru" or "bubble-dual-multi"; NULL
 *	for the server's choice. What the server does not know is an error of
 *	memx_wait().
 * @order: slots in LRU order, the most recently used first, or those first that
 *	memx_touches() gave; NULL for none. Read during the call only.
 * @order_count: how many extents; beyond 1,048,576, the rest are not used
 * @rate_bytes_s: the most bytes of pages that the server may push in a second; 0
 *	for no limit
 * @mtu: the MTU to ask for, at most the link's; 0 for the link's
 * @queue_depth: requests outstanding at once, up to 512; 0 for 128
 * @attach_timeout_ms: how long the server may take to answer at first; 0 for 5000
 * @give_up_ms: a page that does not come for so long cannot be had; 0 for 120000
 * @busy_poll_us: how long to poll for the next frame or fault before sleeping; 0
 *	for 50, MEMX_NO_BUSY_POLL for not at all
 * @flags: 0 or MEMX_RECORD_TOUCHES, which takes 12 bytes for each slot
 *
 * Begin with { .size = sizeof(struct memx_options) }: all that is 0 or NULL has
 * its default, except for @size, @link and @region.
 */
struct memx_options {
	size_t size;
	const char *link;
	const char *region;
	const char *token;
	const char *server;
	const char *strategy;
	const struct memx_extent *order;
	size_t order_count;
	uint64_t rate_bytes_s;
	uint32_t mtu;
	uint32_t queue_depth;
	uint32_t attach_timeout_ms;
	uint32_t give_up_ms;
	uint32_t busy_poll_us;
	uint32_t flags;
};

/**
 * struct memx_mapping - a range of a program's memory and what belongs there
 * @address: where it begins in that program's address space, a multiple of 4096
 * @length: in bytes, a multiple of 4096, above 0
 * @offset: where its contents begin in the region, in bytes, a multiple of 4096
 */
struct memx_mapping {
	uint64_t address;
	uint64_t length;
	uint64_t offset;
};

/**
 * enum memx_phase - how far a post-copy is
 * @MEMX_ATTACHING: asking the server for a session, for the first time or again
 * @MEMX_MOVING: pages are arriving
 * @MEMX_COMPLETE: every page has arrived; the server is no longer needed
 * @MEMX_ENDED: it was stopped or has failed: what is missing gives SIGBUS
 */
enum memx_phase {
	MEMX_ATTACHING = 0,
	MEMX_MOVING = 1,
	MEMX_COMPLETE = 2,
	MEMX_ENDED = 3,
};

/**
 * struct memx_stats - what a post-copy has come to so far
 * @phase: enum memx_phase
 * @sessions: sessions opened; above 1 after a broken link or a restarted server
 * @slots: of the region
 * @pages: that the server was to move when it last began
 * @fetched: pages that came because they were asked for
 * @pushed: pages that came unasked
 * @already_there: pushed pages that were of no use
 * @network_faults: faults for which the server was asked
 * @announced_faults: faults that waited for a push the server had announced
 * @late_faults: faults whose page arrived while the kernel reported them
 * @lost: pages that could not be had
 * @retransmissions: messages sent again
 * @blocked_ns: how long threads waited, all faults together
 * @demand_ns_p50: how long a fetch took from the fault to the page in place,
 *	median
 * @demand_ns_p99: 99th percentile
 * @srtt_ns: smoothed round-trip time of the link
 * @elapsed_ns: since the start, up to the end
 * @cpu_us: CPU time of the service thread
 */
struct memx_stats {
	uint32_t phase;
	uint32_t sessions;
	uint64_t slots;
	uint64_t pages;
	uint64_t fetched;
	uint64_t pushed;
	uint64_t already_there;
	uint64_t network_faults;
	uint64_t announced_faults;
	uint64_t late_faults;
	uint64_t lost;
	uint64_t retransmissions;
	uint64_t blocked_ns;
	uint64_t demand_ns_p50;
	uint64_t demand_ns_p99;
	uint64_t srtt_ns;
	uint64_t elapsed_ns;
	uint64_t cpu_us;
};

/**
 * memx_open() - attach to a region, map it, and start to move its pages
 * @options: what to open
 * @memory: set on success; to be given to memx_close()
 * @error: for a message, see above
 * @error_bytes: its size
 *
 * Returns at once when the server has granted the session; pages come later.
 *
 * Return: 0, or
 * -EINVAL: an option is missing or wrong
 * -E2BIG: an option is set that this library does not know
 * -ENODEV: there is no such link
 * -ETIMEDOUT: no server answered in time, or it refused a broadcast
 * -ENOENT: the server named has no such region
 * -EACCES: it does not let this client or token attach
 * -EBUSY: another client is attached, or the server has no room for one more
 * -EPERM: packet sockets or userfaultfd are not permitted; @error says what to set
 * -ENOSYS: the kernel has no userfaultfd
 * -EPROTO: the server speaks another version, or refuses for another reason
 * -ENOMEM: no address space, or no memory for the link's ring
 * or another errno value of a system call that failed.
 */
int memx_open(const struct memx_options *options, struct memx_memory **memory, char *error,
	      size_t error_bytes);

/**
 * memx_receive() - take over a userfaultfd from the process that owns the memory
 * @socket: connected Unix stream socket; it stays the caller's
 * @timeout_ms: how long the whole message may take
 * @mappings: room for MEMX_MAX_MAPPINGS
 * @count: set to how many there are
 *
 * The message is the one that Firecracker sends to its page-fault handler: a JSON
 * array of {"base_host_virt_addr":N,"size":N,"offset":N,"page_size":4096}, in bytes,
 * and the descriptor beside it (SCM_RIGHTS). Keep the socket open: its end is the
 * sign that the process has gone.
 *
 * Return: the userfaultfd, close-on-exec, which is the caller's to close, or
 * -ETIMEDOUT: the message was not whole in time
 * -EPIPE: the other end closed before it was
 * -EPROTO: it is no such message, or has no descriptor, or more than one
 * -EINVAL: what it asks for cannot be served: huge pages, parts of pages, or a
 *	descriptor that is none of userfaultfd
 */
int memx_receive(int socket, int timeout_ms, struct memx_mapping *mappings, size_t *count,
		 char *error, size_t error_bytes);

/**
 * memx_open_handed() - attach to a region and move its pages into another
 *	process's memory
 * @options: as for memx_open()
 * @userfaultfd: with which all of the mappings are registered for missing pages,
 *	made without UFFD_FEATURE_EVENT_FORK and UFFD_FEATURE_EVENT_REMAP. It stays
 *	the caller's: memx works on a duplicate and makes it non-blocking. Whoever
 *	owns the memory should keep one open too, because once the last is closed,
 *	missing pages read as zeros.
 * @mappings: no two share an address or a byte of the region
 * @count: 1 to MEMX_MAX_MAPPINGS
 *
 * With UFFD_FEATURE_EVENT_REMOVE, memory that is given back (a balloon, or
 * MADV_DONTNEED) reads as zeros afterwards, and the region's pages no longer come
 * there; without it, they may come again.
 *
 * Return: as memx_open(), and
 * -EINVAL: the descriptor is not one of userfaultfd, or a mapping is wrong or
 *	reaches beyond the region
 *
 * On an error nobody serves the mappings: try again, or end the process that owns
 * them; it would wait for ever.
 */
int memx_open_handed(const struct memx_options *options, int userfaultfd,
		     const struct memx_mapping *mappings, size_t count,
		     struct memx_memory **memory, char *error, size_t error_bytes);

/**
 * memx_base() - the region's memory, slot after slot
 *
 * Return: its address, a multiple of 4096, readable and writable until
 * memx_close(); NULL after memx_open_handed().
 */
void *memx_base(const struct memx_memory *memory);

/**
 * memx_slots() - how many slots the region has
 *
 * Return: the number; memx_base() has so many times 4096 bytes.
 */
uint64_t memx_slots(const struct memx_memory *memory);

/**
 * memx_stats() - what has come so far
 * @stats: filled
 * @size: sizeof(struct memx_stats), which tells versions apart: what this library
 *	does not know is 0, and what the caller has no room for is left out
 *
 * The figures are at most 20 ms old, and exact once memx_wait() has returned.
 */
void memx_stats(const struct memx_memory *memory, struct memx_stats *stats, size_t size);

/**
 * memx_wait() - wait until every page has come
 * @timeout_ms: -1 for ever
 *
 * Return: 0 when all have come, or
 * -ETIMEDOUT: not in this time; it goes on
 * -ECANCELED: stopped before
 * -EINVAL: the server does not know the strategy
 * or another errno value: why they cannot come any more.
 */
int memx_wait(struct memx_memory *memory, int timeout_ms, char *error, size_t error_bytes);

/**
 * memx_touches() - the pages that threads have waited for so far, each thread's
 *	in the order of its waits, one thread after the other
 * @extents: filled with the first of them; may be NULL when @count is 0
 * @count: how many there is room for
 *
 * With MEMX_RECORD_TOUCHES. A page that came before it was touched is not among them: with
 * the strategy demand-only they are all that the program has touched. As @order of
 * a later post-copy, with the strategy replay+lru, they have threads that do the
 * same again find their pages there.
 *
 * Return: how many extents there are, 0 without MEMX_RECORD_TOUCHES.
 */
size_t memx_touches(const struct memx_memory *memory, struct memx_extent *extents, size_t count);

/**
 * memx_stop() - stop moving pages
 *
 * Pages that have come stay; touching one that has not raises SIGBUS soon after, also
 * in threads that wait. Does not wait for that: memx_wait() does.
 */
void memx_stop(struct memx_memory *memory);

/**
 * memx_close() - stop, unmap and free
 * @memory: may be NULL
 *
 * What memx_base() gave is unmapped. Another process's memory stays: its missing pages
 * raise SIGBUS, unless all had come.
 */
void memx_close(struct memx_memory *memory);

#ifdef __cplusplus
}
#endif

#endif
