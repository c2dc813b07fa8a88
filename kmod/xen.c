// SPDX-License-Identifier: GPL-2.0
/*
 * Machine frames of a Xen PV guest: exchanging, hiding, giving back, getting
 * again. Hypercalls only; pseudo.c and others know what for.
 *
 * Three places say which machine frame (MFN) is behind a page (PFN), and all
 * of them change together:
 *   P2M: the guest's table from PFN to MFN, which the guest writes;
 *   M2P: the hypervisor's table back, changed by MMU_MACHPHYS_UPDATE;
 *   the direct map: the page table entry that the kernel sees the page by.
 *
 * Everything works on batches: one list of updates, and one flush of the TLBs
 * behind it, in one multicall. Nobody may use the pages meanwhile. The idea of
 * exchanging frames instead of copying pages is from Hines, Deshpande,
 * Gopalan, "Post-Copy Live Migration of Virtual Machines", section 4.
 */
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>

#include <xen/interface/xen.h>
#include <xen/mem-reservation.h>
#include <xen/xen.h>
#include <asm/xen/hypercall.h>
#include <asm/xen/page.h>

#include "memx.h"

/* A page that is exchanged changes two entries of the M2P and two of the direct map. */
#define MEMX_EXCHANGE_UPDATES 4

/* Exchanging happens under reclaim, where nothing may sleep. */
static DEFINE_SPINLOCK(memx_exchange_lock);
static struct mmu_update memx_exchange_updates[MEMX_EXCHANGE_UPDATES *
					       MEMX_XEN_EXCHANGE_PAGES];
static struct mmu_update memx_exchange_undo[MEMX_EXCHANGE_UPDATES *
					    MEMX_XEN_EXCHANGE_PAGES];

/* Everything else does where it may. */
static DEFINE_MUTEX(memx_frames_lock);
static struct mmu_update memx_frame_updates[MEMX_XEN_BATCH_PAGES];
static xen_pfn_t memx_frame_list[MEMX_XEN_BATCH_PAGES];

static atomic64_t memx_xen_counts[MEMX_XEN_NR_KINDS][2];

static void memx_xen_count(enum memx_xen_kind kind, unsigned int hypercalls,
			   unsigned int pages)
{
	atomic64_add(hypercalls, &memx_xen_counts[kind][0]);
	atomic64_add(pages, &memx_xen_counts[kind][1]);
}

/**
 * memx_xen_hypercalls - how many hypercalls there were
 * @kind: to do what
 *
 * A multicall counts as one: it enters the hypervisor once.
 *
 * Return: how many, since the module was loaded.
 */
u64 memx_xen_hypercalls(enum memx_xen_kind kind)
{
	return atomic64_read(&memx_xen_counts[kind][0]);
}

/**
 * memx_xen_pages - how many pages those hypercalls were for
 * @kind: to do what
 *
 * Return: how many, since the module was loaded.
 */
u64 memx_xen_pages(enum memx_xen_kind kind)
{
	return atomic64_read(&memx_xen_counts[kind][1]);
}

/**
 * memx_xen_guest - whether this is a guest whose frames can be exchanged
 *
 * Return: whether it is a PV guest that is not the host's own.
 */
bool memx_xen_guest(void)
{
	return xen_pv_domain() && !xen_initial_domain();
}

/* The direct map of a PV guest has no large pages. */
static pte_t *memx_direct_pte(struct page *page)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)page_address(page), &level);

	return pte && level == PG_LEVEL_4K ? pte : NULL;
}

static void memx_update_m2p(struct mmu_update *update, unsigned long mfn,
			    unsigned long pfn)
{
	update->ptr = ((u64)mfn << PAGE_SHIFT) | MMU_MACHPHYS_UPDATE;
	update->val = pfn;
}

static void memx_update_pte(struct mmu_update *update, pte_t *pte, u64 value)
{
	update->ptr = arbitrary_virt_to_machine(pte).maddr |
		      MMU_NORMAL_PT_UPDATE;
	update->val = value;
}

static u64 memx_pte_with(const pte_t *pte, unsigned long mfn)
{
	return (READ_ONCE(pte->pte) & ~XEN_PTE_MFN_MASK) |
	       ((u64)mfn << PAGE_SHIFT);
}

/*
 * Apply updates, and flush every TLB if wanted, in one hypercall. @done gets
 * how many were applied. The macros that fill multicalls cannot be used from
 * a module.
 */
static int memx_xen_update(enum memx_xen_kind kind, struct mmu_update *updates,
			   unsigned int count, bool flush, int *done)
{
	struct mmuext_op op = { .cmd = MMUEXT_TLB_FLUSH_ALL };
	struct multicall_entry calls[2] = {
		{
			.op = __HYPERVISOR_mmu_update,
			.args = { (unsigned long)updates, count,
				  (unsigned long)done, DOMID_SELF },
		}, {
			.op = __HYPERVISOR_mmuext_op,
			.args = { (unsigned long)&op, 1, 0, DOMID_SELF },
		},
	};
	int ret;

	*done = 0;
	memx_xen_count(kind, 1, 0);
	ret = HYPERVISOR_multicall(calls, flush ? 2 : 1);
	if (ret)
		return ret;
	if (calls[0].result)
		return (int)(long)calls[0].result;
	return flush ? (int)(long)calls[1].result : 0;
}

/**
 * memx_xen_exchange - exchange the machine frames of pages
 * @pages: pages that nobody uses meanwhile
 * @others: as many others
 * @count: how many, at most MEMX_XEN_EXCHANGE_PAGES
 *
 * Afterwards each page has the contents that the other one of its pair had.
 * Any context but hard interrupts.
 *
 * Return: 0; or an error, and then all is as it was.
 */
int memx_xen_exchange(struct page **pages, struct page **others,
		      unsigned int count)
{
	struct mmu_update *update = memx_exchange_updates;
	struct mmu_update *undo = memx_exchange_undo;
	unsigned int i;
	int ret = 0, done, undone;

	spin_lock_bh(&memx_exchange_lock);
	for (i = 0; i < count; i++) {
		unsigned long pfn = page_to_pfn(pages[i]);
		unsigned long other_pfn = page_to_pfn(others[i]);
		unsigned long mfn = xen_p2m_addr[pfn];
		unsigned long other_mfn = xen_p2m_addr[other_pfn];
		pte_t *pte = memx_direct_pte(pages[i]);
		pte_t *other_pte = memx_direct_pte(others[i]);

		if (!pte || !other_pte) {
			ret = -EFAULT;
			goto out;
		}
		memx_update_m2p(update++, other_mfn, pfn);
		memx_update_m2p(undo++, other_mfn, other_pfn);
		memx_update_m2p(update++, mfn, other_pfn);
		memx_update_m2p(undo++, mfn, pfn);
		memx_update_pte(update++, pte, memx_pte_with(pte, other_mfn));
		memx_update_pte(undo++, pte, pte->pte);
		memx_update_pte(update++, other_pte,
				memx_pte_with(other_pte, mfn));
		memx_update_pte(undo++, other_pte, other_pte->pte);
	}
	ret = memx_xen_update(MEMX_XEN_EXCHANGE, memx_exchange_updates,
			      count * MEMX_EXCHANGE_UPDATES, true, &done);
	if (ret) {
		pr_err_ratelimited("memx: exchanging frames: error %d after %d of %u updates\n",
				   ret, done, count * MEMX_EXCHANGE_UPDATES);
		WARN_ON(memx_xen_update(MEMX_XEN_EXCHANGE, memx_exchange_undo,
					done, true, &undone));
		goto out;
	}
	for (i = 0; i < count; i++)
		swap(xen_p2m_addr[page_to_pfn(pages[i])],
		     xen_p2m_addr[page_to_pfn(others[i])]);
	memx_xen_count(MEMX_XEN_EXCHANGE, 0, count);
out:
	spin_unlock_bh(&memx_exchange_lock);
	return ret;
}

/* Take pages out of the direct map; or put them into it, over the frames of memx_frame_list. */
static int memx_xen_map(enum memx_xen_kind kind, struct page **pages,
			unsigned int count, bool in)
{
	unsigned int i;
	int done;

	for (i = 0; i < count; i++) {
		pte_t *pte = memx_direct_pte(pages[i]);
		u64 value = 0;

		if (!pte)
			return -EFAULT;
		if (in)
			value = pte_val_ma(mfn_pte(memx_frame_list[i],
						   PAGE_KERNEL));
		memx_update_pte(&memx_frame_updates[i], pte, value);
	}
	/* What was not there before is in no TLB. */
	return memx_xen_update(kind, memx_frame_updates, count, !in, &done);
}

/* Put pages over the frames of memx_frame_list. */
static int memx_xen_appear(enum memx_xen_kind kind, struct page **pages,
			   unsigned int count)
{
	unsigned int i;
	int ret;

	ret = memx_xen_map(kind, pages, count, true);
	if (WARN_ON(ret))
		return ret;
	for (i = 0; i < count; i++)
		xen_p2m_addr[page_to_pfn(pages[i])] = memx_frame_list[i];
	return 0;
}

/* Leave pages without frames, and those in memx_frame_list. */
static int memx_xen_vanish(enum memx_xen_kind kind, struct page **pages,
			   unsigned int count)
{
	unsigned int i;
	int ret;

	for (i = 0; i < count; i++)
		memx_frame_list[i] = xen_p2m_addr[page_to_pfn(pages[i])];
	ret = memx_xen_map(kind, pages, count, false);
	if (ret) {
		pr_err("memx: taking pages out of the direct map: error %d\n",
		       ret);
		memx_xen_map(kind, pages, count, true);
		return ret;
	}
	for (i = 0; i < count; i++)
		xen_p2m_addr[page_to_pfn(pages[i])] = INVALID_P2M_ENTRY;
	return 0;
}

/**
 * memx_xen_hide - leave pages without frames, which the guest still owns
 * @pages: pages that nobody uses until memx_xen_unhide()
 * @count: how many, at most MEMX_XEN_BATCH_PAGES
 *
 * A saved image of the guest has neither the pages nor their frames. Each
 * page's private field remembers its frame. May sleep.
 *
 * Return: 0; or an error, and then all is as it was.
 */
int memx_xen_hide(struct page **pages, unsigned int count)
{
	unsigned int i;
	int ret;

	mutex_lock(&memx_frames_lock);
	ret = memx_xen_vanish(MEMX_XEN_HIDE, pages, count);
	if (!ret) {
		for (i = 0; i < count; i++)
			set_page_private(pages[i], memx_frame_list[i]);
		memx_xen_count(MEMX_XEN_HIDE, 0, count);
	}
	mutex_unlock(&memx_frames_lock);
	return ret;
}

/**
 * memx_xen_unhide - the end of memx_xen_hide(), on the same host
 * @pages: the pages
 * @count: how many, at most MEMX_XEN_BATCH_PAGES
 *
 * Return: 0 or an error.
 */
int memx_xen_unhide(struct page **pages, unsigned int count)
{
	unsigned int i;
	int ret;

	mutex_lock(&memx_frames_lock);
	for (i = 0; i < count; i++)
		memx_frame_list[i] = page_private(pages[i]);
	ret = memx_xen_appear(MEMX_XEN_UNHIDE, pages, count);
	if (!ret) {
		for (i = 0; i < count; i++)
			set_page_private(pages[i], 0);
		memx_xen_count(MEMX_XEN_UNHIDE, 0, count);
	}
	mutex_unlock(&memx_frames_lock);
	return ret;
}

/**
 * memx_xen_release - give the frames of pages to the hypervisor
 * @pages: pages that nobody uses until memx_xen_populate(), and that hold
 *	nothing that another guest must not see
 * @count: how many, at most MEMX_XEN_BATCH_PAGES
 *
 * May sleep.
 *
 * Return: how many of them, counted from the first, have no frame now.
 */
unsigned int memx_xen_release(struct page **pages, unsigned int count)
{
	int released = 0;

	mutex_lock(&memx_frames_lock);
	if (memx_xen_vanish(MEMX_XEN_RELEASE, pages, count))
		goto out;
	memx_xen_count(MEMX_XEN_RELEASE, 1, 0);
	released = xenmem_reservation_decrease(count, memx_frame_list);
	released = clamp(released, 0, (int)count);
	if (released < (int)count) {
		unsigned int left = count - released;

		memmove(memx_frame_list, memx_frame_list + released,
			left * sizeof(*memx_frame_list));
		memx_xen_appear(MEMX_XEN_RELEASE, pages + released, left);
	}
	memx_xen_count(MEMX_XEN_RELEASE, 0, released);
out:
	mutex_unlock(&memx_frames_lock);
	return released;
}

/**
 * memx_xen_populate - get frames for pages that have none
 * @pages: the pages
 * @count: how many, at most MEMX_XEN_BATCH_PAGES
 *
 * The pages hold anything then. May sleep.
 *
 * Return: how many of them, counted from the first, have a frame now: fewer
 * than @count when the host has no more, or the guest as many as it may.
 */
unsigned int memx_xen_populate(struct page **pages, unsigned int count)
{
	unsigned int i;
	int populated;

	mutex_lock(&memx_frames_lock);
	for (i = 0; i < count; i++)
		memx_frame_list[i] = page_to_pfn(pages[i]);
	memx_xen_count(MEMX_XEN_POPULATE, 1, 0);
	populated = xenmem_reservation_increase(count, memx_frame_list);
	populated = clamp(populated, 0, (int)count);
	if (populated && memx_xen_appear(MEMX_XEN_POPULATE, pages, populated))
		populated = 0;
	memx_xen_count(MEMX_XEN_POPULATE, 0, populated);
	mutex_unlock(&memx_frames_lock);
	return populated;
}

/**
 * memx_xen_mfn - the frame of a page
 * @page: the page, which has one
 *
 * Return: its MFN.
 */
unsigned long memx_xen_mfn(struct page *page)
{
	return pfn_to_mfn(page_to_pfn(page));
}

/**
 * memx_xen_consistent - whether P2M, M2P and direct map agree on a page
 * @page: the page
 *
 * Return: whether they do; also when it has no frame by any of them.
 */
bool memx_xen_consistent(struct page *page)
{
	unsigned long pfn = page_to_pfn(page), mfn = xen_p2m_addr[pfn];
	pte_t *pte = memx_direct_pte(page);

	if (!pte)
		return false;
	if (mfn == INVALID_P2M_ENTRY)
		return !pte->pte;
	return machine_to_phys_mapping[mfn] == pfn &&
	       (pte->pte & XEN_PTE_MFN_MASK) == (u64)mfn << PAGE_SHIFT;
}
