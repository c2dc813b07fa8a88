// SPDX-License-Identifier: Apache-2.0
// Agreeing on how many reads may be under way; no library is needed for that.
#include "CVerbs.h"

static uint8_t lesser(uint8_t a, uint8_t b) { return a < b ? a : b; }

struct memx_verbs_reads memx_verbs_agree(struct memx_verbs_reads own,
                                         struct memx_verbs_reads offered) {
  return (struct memx_verbs_reads){
      .answered = lesser(own.answered, offered.answered),
      .asked = lesser(own.asked, offered.asked),
  };
}
