// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "rtt.h"

void memx_rtt_sample(struct memx_rtt *rtt, __u64 sent_ns, __u64 now_ns)
{
	__u64 sample = now_ns - sent_ns;

	if (!rtt->srtt_ns) {
		rtt->srtt_ns = sample ? sample : 1;
		rtt->rttvar_ns = sample / 2;
	} else {
		__u64 off = sample > rtt->srtt_ns ? sample - rtt->srtt_ns
						  : rtt->srtt_ns - sample;

		rtt->rttvar_ns = rtt->rttvar_ns - rtt->rttvar_ns / 4 + off / 4;
		rtt->srtt_ns = rtt->srtt_ns - rtt->srtt_ns / 8 + sample / 8;
		if (!rtt->srtt_ns)
			rtt->srtt_ns = 1;
	}
	if (sent_ns > rtt->newest_answered_ns)
		rtt->newest_answered_ns = sent_ns;
}

__u64 memx_rtt_sent_ns(unsigned int answered, unsigned int attempt,
		       __u64 first_ns, __u64 latest_ns)
{
	if (answered == attempt && attempt < 255)
		return latest_ns;
	return answered ? 0 : first_ns;
}

__u64 memx_rto_ns(const struct memx_rtt *rtt, unsigned int attempt)
{
	__u64 rto = rtt->srtt_ns ? rtt->srtt_ns + 4 * rtt->rttvar_ns
				 : MEMX_RTO_FIRST_NS;

	if (rto < MEMX_RTO_MIN_NS)
		rto = MEMX_RTO_MIN_NS;
	/* 2^8 times the minimum is more than the maximum already. */
	rto <<= attempt < 8 ? attempt : 8;
	return rto < MEMX_RTO_MAX_NS ? rto : MEMX_RTO_MAX_NS;
}

int memx_rtt_overtaken(const struct memx_rtt *rtt, __u64 sent_ns)
{
	/* RACK's reordering window: a quarter of the round trip. */
	__u64 window = rtt->srtt_ns / 4 + rtt->rttvar_ns;

	return rtt->newest_answered_ns > sent_ns &&
	       rtt->newest_answered_ns - sent_ns > window;
}
