/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The frame tree: how a Xen guest tells its host which machine frames hold its
 * pages. Frozen, it tells memxd of the pages of its slots. Before that it tells
 * memxctl, in a tree of the same form, of the pages that no slot will hold:
 * there a slot stands for a PFN.
 *
 * This is the only copy. The kernel module includes it and Swift imports it.
 *
 * The tree looks like a page table of three levels, each table one frame:
 *
 *	root       struct memx_frames_root, 504 entries, each for a directory
 *	directory  512 entries, each for a leaf
 *	leaf       512 entries, each for the frame of one slot
 *
 * An entry is 64 bits, little-endian: the MFN shifted left by
 * MEMX_FRAMES_MFN_SHIFT, with MEMX_FRAMES_PRESENT; or 0, and then there is no
 * table, or the slot holds no page.
 *
 * The root's MFN and its generation go through XenStore, as hexadecimal numbers
 * with a space between. Nothing in the tree is to be trusted: a guest may write
 * what it likes. Whoever reads it bounds every index by @slots and lets the
 * hypervisor check that every frame belongs to the guest.
 */
#ifndef MEMX_FRAMES_H
#define MEMX_FRAMES_H

#include <linux/types.h>

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#else
#include <assert.h>
#include <stddef.h>
#endif

/* The first eight bytes of a root are "memxtree". */
#define MEMX_FRAMES_MAGIC 0x65657274786d656dULL
#define MEMX_FRAMES_VERSION 1

#define MEMX_FRAMES_TABLE_BYTES 4096
#define MEMX_FRAMES_ENTRIES 512
#define MEMX_FRAMES_ROOT_ENTRIES 504

#define MEMX_FRAMES_PRESENT 1
#define MEMX_FRAMES_MFN_SHIFT 12

/* The most slots that a tree can describe: 504 GiB of them. */
#define MEMX_FRAMES_MAX_SLOTS \
	(504ULL * MEMX_FRAMES_ENTRIES * MEMX_FRAMES_ENTRIES)

/**
 * struct memx_frames_root - the root of a frame tree
 * @magic: MEMX_FRAMES_MAGIC
 * @version: MEMX_FRAMES_VERSION
 * @reserved: zero
 * @generation: names this tree: random, never zero, other at every freeze
 * @slots: how many slots there are; slots behind have no entries
 * @used: how many slots hold a page, and so how many entries leaves have
 * @padding: zero
 * @directories: entry i is for the directory of slots from i * 512 * 512 on
 */
struct memx_frames_root {
	__le64 magic;
	__le32 version;
	__le32 reserved;
	__le64 generation;
	__le64 slots;
	__le64 used;
	__u8 padding[24];
	__le64 directories[MEMX_FRAMES_ROOT_ENTRIES];
};

static_assert(sizeof(struct memx_frames_root) == MEMX_FRAMES_TABLE_BYTES,
	      "memx_frames_root size");
static_assert(offsetof(struct memx_frames_root, version) == 8,
	      "memx_frames_root.version");
static_assert(offsetof(struct memx_frames_root, generation) == 16,
	      "memx_frames_root.generation");
static_assert(offsetof(struct memx_frames_root, slots) == 24,
	      "memx_frames_root.slots");
static_assert(offsetof(struct memx_frames_root, used) == 32,
	      "memx_frames_root.used");
static_assert(offsetof(struct memx_frames_root, directories) == 64,
	      "memx_frames_root.directories");

#endif /* MEMX_FRAMES_H */
