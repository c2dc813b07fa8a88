/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Round-trip time and retransmission timeout, for the module and the user-mode
 * client alike. Pure: time comes in as nanoseconds of any monotonic clock.
 *
 * The estimator is that of RFC 6298 section 2; when a request counts as lost
 * before its timeout follows the idea of RACK (RFC 8985): something sent after
 * it has been answered already.
 */
#ifndef MEMX_CORE_RTT_H
#define MEMX_CORE_RTT_H

#include <linux/types.h>

/*
 * RFC 6298 wants 1 s; on a segment that answers in microseconds that is an age.
 * It is to be more than both ends' schedulers and timers (a tick may be 10 ms)
 * keep a message waiting: a shorter one takes each such pause for a loss. What
 * is lost while other requests are under way does not wait for it
 * (memx_rtt_overtaken).
 */
#define MEMX_RTO_MIN_NS 20000000ULL
#define MEMX_RTO_MAX_NS 1000000000ULL
/* Before the first sample. */
#define MEMX_RTO_FIRST_NS 100000000ULL

/**
 * struct memx_rtt - round-trip time of one session; all zero to begin with
 * @srtt_ns: smoothed round-trip time, 0 before the first sample
 * @rttvar_ns: smoothed mean deviation
 * @newest_answered_ns: when the most recently sent of all answered requests
 *	had been sent
 */
struct memx_rtt {
	__u64 srtt_ns;
	__u64 rttvar_ns;
	__u64 newest_answered_ns;
};

/**
 * memx_rtt_sample - take in one answer
 * @rtt: the session's estimator
 * @sent_ns: when the message that was answered had been sent
 * @now_ns: now, not before @sent_ns
 *
 * Only for an answer that names the very transmission it answers
 * (memx_rtt_sent_ns), so that Karn's ambiguity cannot arise.
 */
void memx_rtt_sample(struct memx_rtt *rtt, __u64 sent_ns, __u64 now_ns);

/**
 * memx_rtt_sent_ns - when the transmission was sent that an answer names
 * @answered: the attempt in the answer's header
 * @attempt: of the request's latest transmission; 255 stands for all later ones
 * @first_ns: when attempt 0 was sent, if there was another
 * @latest_ns: when @attempt was sent
 *
 * The first attempt's time is what tells a round trip that became longer than
 * the timeout: by when its answer comes the request has been sent again, and an
 * answer to the latest comes after the request has ended. What lies between
 * first and latest is not recorded.
 *
 * Return: nanoseconds; 0 where it is not known.
 */
__u64 memx_rtt_sent_ns(unsigned int answered, unsigned int attempt,
		       __u64 first_ns, __u64 latest_ns);

/**
 * memx_rto_ns - how long to wait for an answer before sending again
 * @rtt: the session's estimator
 * @attempt: how often the request has been sent again already; the timeout
 *	doubles with each
 *
 * Return: nanoseconds, from MEMX_RTO_MIN_NS to MEMX_RTO_MAX_NS.
 */
__u64 memx_rto_ns(const struct memx_rtt *rtt, unsigned int attempt);

/**
 * memx_rtt_overtaken - has a request been overtaken, so that it counts as lost?
 * @rtt: the session's estimator
 * @sent_ns: when the request was last sent
 *
 * Return: non-zero when a request sent later than @sent_ns, by more than
 * reordering explains, has been answered.
 */
int memx_rtt_overtaken(const struct memx_rtt *rtt, __u64 sent_ns);

#endif /* MEMX_CORE_RTT_H */
