// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "memx_checksum.h"
#include "memx_swap.h"
#include "memx_touch.h"
#include "memx_touches.h"
#include "memx_process.h"
#include "memx_descriptor.h"
#include "memx_memory.h"
#include "memx_namespace.h"
#include "memx_packet.h"
#include "memx_thread.h"
#include "memx_userfault.h"
#include "memx_wake.h"
