// SPDX-License-Identifier: GPL-2.0
/*
 * Frame trees of memx_frames.h: which machine frame holds which slot, or which
 * page of the guest.
 *
 * Their tables are got before memory is squeezed, as many as there could be. A
 * table that is not needed, because none of its slots holds a page, is not in
 * the tree.
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/random.h>

#include "memx.h"
#include "memx_frames.h"

static u64 memx_frames_leaves(u64 slots)
{
	return DIV_ROUND_UP(slots, MEMX_FRAMES_ENTRIES);
}

static u64 memx_frames_directories(u64 slots)
{
	return DIV_ROUND_UP(memx_frames_leaves(slots), MEMX_FRAMES_ENTRIES);
}

/**
 * memx_frames_alloc - get the tables of a tree
 * @tables: gets them
 * @slots: how many slots the device has
 *
 * Return: 0; or -ENOMEM, and none.
 */
int memx_frames_alloc(struct list_head *tables, u64 slots)
{
	u64 left = 1 + memx_frames_directories(slots) +
		   memx_frames_leaves(slots);

	for (; left; left--) {
		struct page *page = alloc_page(GFP_KERNEL | __GFP_NORETRY |
					       __GFP_NOWARN);

		if (!page) {
			put_pages_list(tables);
			return -ENOMEM;
		}
		list_add(&page->lru, tables);
	}
	return 0;
}

/* The next table, all zero; those in use are at the end of the list. */
static struct page *memx_frames_table(struct list_head *tables)
{
	struct page *page = list_first_entry(tables, struct page, lru);

	list_move_tail(&page->lru, tables);
	clear_page(page_address(page));
	return page;
}

static __le64 memx_frames_entry(struct page *page)
{
	return cpu_to_le64(((u64)memx_xen_mfn(page) << MEMX_FRAMES_MFN_SHIFT) |
			   MEMX_FRAMES_PRESENT);
}

/**
 * memx_frames_build - describe the frames of all slots
 * @tables: from memx_frames_alloc(); those in use are moved to the end
 * @slots: how many slots there are
 * @page_of: called for each, ascending: the page that it holds, or NULL
 * @data: for @page_of
 * @generation: gets the tree's
 *
 * Return: the root, which is one of @tables.
 */
struct page *memx_frames_build(struct list_head *tables, u64 slots,
			       struct page *(*page_of)(void *data, u64 slot),
			       void *data, u64 *generation)
{
	struct page *root_page = memx_frames_table(tables);
	struct memx_frames_root *root = page_address(root_page);
	__le64 *directory = NULL, *leaf = NULL;
	u64 slot, used = 0;

	BUILD_BUG_ON(MEMX_FRAMES_TABLE_BYTES != PAGE_SIZE);
	do {
		*generation = get_random_u64();
	} while (!*generation);

	for (slot = 0; slot < slots; slot++) {
		struct page *page = page_of(data, slot);
		u64 in_leaf = slot % MEMX_FRAMES_ENTRIES;
		u64 in_directory = slot / MEMX_FRAMES_ENTRIES %
				   MEMX_FRAMES_ENTRIES;
		u64 in_root = slot / MEMX_FRAMES_ENTRIES / MEMX_FRAMES_ENTRIES;

		if (!in_leaf) {
			leaf = NULL;
			cond_resched();
		}
		if (!in_leaf && !in_directory)
			directory = NULL;
		if (!page)
			continue;
		if (!directory) {
			struct page *table = memx_frames_table(tables);

			directory = page_address(table);
			root->directories[in_root] = memx_frames_entry(table);
		}
		if (!leaf) {
			struct page *table = memx_frames_table(tables);

			leaf = page_address(table);
			directory[in_directory] = memx_frames_entry(table);
		}
		leaf[in_leaf] = memx_frames_entry(page);
		used++;
	}
	root->magic = cpu_to_le64(MEMX_FRAMES_MAGIC);
	root->version = cpu_to_le32(MEMX_FRAMES_VERSION);
	root->generation = cpu_to_le64(*generation);
	root->slots = cpu_to_le64(slots);
	root->used = cpu_to_le64(used);
	return root_page;
}
