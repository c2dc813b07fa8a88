// SPDX-License-Identifier: GPL-2.0
/*
 * A request's page, seen as 4,096 bytes.
 *
 * From swap and from the page cache it is one page. Direct I/O may make it of
 * up to eight pieces, so everything here walks the pieces; the common case is
 * a walk of one step.
 */
#include <linux/bvec.h>
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/string.h>
#include <linux/xxhash.h>

#include "memx.h"

/**
 * memx_clip - cut a segment down to a range of the page
 * @piece: what is left of it
 * @segment: the segment, which must stay as it is: the walk goes on by it
 * @at: where it begins in the page; where the next one does
 * @offset: begin of the range
 * @length: length of the range
 *
 * Return: whether anything is left.
 */
static bool memx_clip(struct bio_vec *piece, const struct bio_vec *segment,
		      unsigned int *at, unsigned int offset,
		      unsigned int length)
{
	unsigned int begin = *at, end = begin + segment->bv_len;
	unsigned int from = max(begin, offset);
	unsigned int to = min(end, offset + length);

	*at = end;
	if (from >= to)
		return false;
	piece->bv_page = segment->bv_page;
	piece->bv_offset = segment->bv_offset + from - begin;
	piece->bv_len = to - from;
	return true;
}

/**
 * memx_payload_sum - checksum of a part of the page
 * @rq: the request
 * @offset: begin of the part
 * @length: its length
 *
 * Return: the XXH64, seed 0.
 */
u64 memx_payload_sum(struct request *rq, unsigned int offset,
		     unsigned int length)
{
	struct xxh64_state state;
	struct req_iterator iter;
	struct bio_vec segment, piece;
	unsigned int at = 0;
	bool streaming = false;

	rq_for_each_segment(segment, rq, iter) {
		void *bytes;

		if (!memx_clip(&piece, &segment, &at, offset, length))
			continue;
		bytes = bvec_kmap_local(&piece);
		if (piece.bv_len == length) {
			u64 sum = xxh64(bytes, length, 0);

			kunmap_local(bytes);
			return sum;
		}
		if (!streaming) {
			xxh64_reset(&state, 0);
			streaming = true;
		}
		xxh64_update(&state, bytes, piece.bv_len);
		kunmap_local(bytes);
	}
	return streaming ? xxh64_digest(&state) : 0;
}
EXPORT_SYMBOL_GPL(memx_payload_sum);

/**
 * memx_payload_is_zero - whether the page is all zeros
 * @rq: the request
 *
 * Return: whether it is. Nearly every page answers after its first word.
 */
bool memx_payload_is_zero(struct request *rq)
{
	struct req_iterator iter;
	struct bio_vec piece;

	rq_for_each_segment(piece, rq, iter) {
		void *bytes = bvec_kmap_local(&piece);
		bool zero = !memchr_inv(bytes, 0, piece.bv_len);

		kunmap_local(bytes);
		if (!zero)
			return false;
	}
	return true;
}

/**
 * memx_payload_zero - clear a part of the page
 * @rq: the request
 * @offset: begin of the part
 * @length: its length
 */
void memx_payload_zero(struct request *rq, unsigned int offset,
		       unsigned int length)
{
	struct req_iterator iter;
	struct bio_vec segment, piece;
	unsigned int at = 0;

	rq_for_each_segment(segment, rq, iter)
		if (memx_clip(&piece, &segment, &at, offset, length))
			memzero_bvec(&piece);
}

/**
 * memx_payload_receive - copy a part of the page out of a frame
 * @rq: the request
 * @offset: begin of the part
 * @length: its length
 * @skb: the frame
 * @skb_offset: where the part begins there
 *
 * The only copy that a page read goes through.
 *
 * Return: 0, or -EFAULT when the frame is shorter than it was.
 */
int memx_payload_receive(struct request *rq, unsigned int offset,
			 unsigned int length, struct sk_buff *skb,
			 unsigned int skb_offset)
{
	struct req_iterator iter;
	struct bio_vec segment, piece;
	unsigned int at = 0;

	rq_for_each_segment(segment, rq, iter) {
		void *bytes;
		int ret;

		if (!memx_clip(&piece, &segment, &at, offset, length))
			continue;
		bytes = bvec_kmap_local(&piece);
		ret = skb_copy_bits(skb, skb_offset, bytes, piece.bv_len);
		kunmap_local(bytes);
		flush_dcache_page(piece.bv_page);
		if (ret)
			return ret;
		skb_offset += piece.bv_len;
	}
	return 0;
}

/**
 * memx_payload_attach - let a frame refer to a part of the page
 * @rq: the request
 * @offset: begin of the part
 * @length: its length
 * @skb: the frame, with room for eight fragments
 *
 * Nothing is copied: the frame holds a reference to the page until the network
 * device has sent it. That may be after the request is over, when a copy sent
 * earlier has been answered; what such a frame carries then may be anything,
 * and fails the checksum that was taken when it was built.
 *
 * Pages that the slab allocator lends out must not be referred to so: they are
 * copied.
 *
 * Return: 0, or -ENOMEM when a copy was needed and there is no memory.
 */
int memx_payload_attach(struct request *rq, unsigned int offset,
			unsigned int length, struct sk_buff *skb)
{
	struct req_iterator iter;
	struct bio_vec segment, piece;
	unsigned int at = 0;

	rq_for_each_segment(segment, rq, iter) {
		struct page *page;
		unsigned int page_offset;

		if (!memx_clip(&piece, &segment, &at, offset, length))
			continue;
		page = piece.bv_page;
		page_offset = piece.bv_offset;
		if (sendpage_ok(page)) {
			get_page(page);
		} else {
			void *copy = netdev_alloc_frag(piece.bv_len);

			if (!copy)
				return -ENOMEM;
			memcpy_from_bvec(copy, &piece);
			page = virt_to_head_page(copy);
			page_offset = copy - page_address(page);
		}
		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page,
				page_offset, piece.bv_len, piece.bv_len);
	}
	return 0;
}

/**
 * memx_payload_load - fill the request's page
 * @rq: the request
 * @page: from here
 */
void memx_payload_load(struct request *rq, struct page *page)
{
	const char *from = page_address(page);
	struct req_iterator iter;
	struct bio_vec segment;

	rq_for_each_segment(segment, rq, iter) {
		memcpy_to_bvec(&segment, from);
		from += segment.bv_len;
	}
}

/**
 * memx_payload_store - copy the request's page
 * @rq: the request
 * @page: to here
 */
void memx_payload_store(struct request *rq, struct page *page)
{
	char *to = page_address(page);
	struct req_iterator iter;
	struct bio_vec segment;

	rq_for_each_segment(segment, rq, iter) {
		memcpy_from_bvec(to, &segment);
		to += segment.bv_len;
	}
}

/**
 * memx_payload_swapcache - the request's page, if it is one of the swap cache
 * @rq: the request
 *
 * Return: the page, which is a folio of its own; or NULL.
 */
struct folio *memx_payload_swapcache(struct request *rq)
{
	struct bio_vec piece = req_bvec(rq);
	struct folio *folio = page_folio(piece.bv_page);

	if (piece.bv_len != PAGE_SIZE || folio_test_large(folio) ||
	    !folio_test_swapcache(folio))
		return NULL;
	return folio;
}
