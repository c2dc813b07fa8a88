// SPDX-License-Identifier: GPL-2.0
/*
 * The line that makes a device: words of the form key=value.
 */
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "memx.h"
#include "memx_frames.h"

/* No line that makes sense is longer. */
#define MEMX_LINE_BYTES 1024

/**
 * memx_region_valid - whether a region can have a name
 * @name: the name
 *
 * Return: whether it can.
 */
bool memx_region_valid(const char *name)
{
	size_t length = strlen(name), i;

	if (!length || length >= RMAP_REGION_NAME_BYTES)
		return false;
	for (i = 0; i < length; i++)
		if (!isascii(name[i]) ||
		    (!isalnum(name[i]) && !strchr("._-", name[i])))
			return false;
	return true;
}

static int memx_word_region(struct memx_params *params, char *value)
{
	if (!memx_region_valid(value)) {
		pr_err("memx: attach: region must be 1 to %d of A-Z a-z 0-9 . _ -\n",
		       RMAP_REGION_NAME_BYTES - 1);
		return -EINVAL;
	}
	strscpy(params->region, value, sizeof(params->region));
	return 0;
}

static int memx_word_link(struct memx_params *params, char *value)
{
	size_t limit = strchr(value, ':') ? MEMX_LINK_BYTES : IFNAMSIZ;

	if (!*value || strlen(value) >= limit) {
		pr_err("memx: attach: link must be the name of a network device, or rdma:ADDRESS[:PORT]\n");
		return -EINVAL;
	}
	strscpy(params->link, value, sizeof(params->link));
	return 0;
}

static int memx_word_server(struct memx_params *params, char *value)
{
	if (!mac_pton(value, params->server) ||
	    (!is_valid_ether_addr(params->server) &&
	     !is_broadcast_ether_addr(params->server))) {
		pr_err("memx: attach: server must be an Ethernet address like 52:54:00:12:34:56\n");
		return -EINVAL;
	}
	params->has_server = true;
	return 0;
}

static int memx_word_token(struct memx_params *params, char *value)
{
	size_t length = strlen(value);

	if (length > RMAP_TOKEN_BYTES) {
		pr_err("memx: attach: token must be at most %d bytes\n",
		       RMAP_TOKEN_BYTES);
		return -EINVAL;
	}
	memset(params->token, 0, sizeof(params->token));
	memcpy(params->token, value, length);
	return 0;
}

static int memx_word_size(struct memx_params *params, char *value)
{
	char *end;
	u64 bytes = memparse(value, &end);

	if (!isdigit(*value) || *end || bytes % RMAP_PAGE_BYTES ||
	    bytes / RMAP_PAGE_BYTES > RMAP_MAX_SLOTS) {
		pr_err("memx: attach: size must be bytes (or with K, M, G, T), a multiple of %d, at most 16T; 0 for all of the region\n",
		       RMAP_PAGE_BYTES);
		return -EINVAL;
	}
	params->slots = bytes / RMAP_PAGE_BYTES;
	return 0;
}

static int memx_word_number(const char *key, const char *value,
			    unsigned int least, unsigned int most,
			    unsigned int *number)
{
	unsigned int n;

	if (kstrtouint(value, 10, &n) || n < least || n > most) {
		pr_err("memx: attach: %s must be a number from %u to %u\n", key,
		       least, most);
		return -EINVAL;
	}
	*number = n;
	return 0;
}

static int memx_word_mode(struct memx_params *params, const char *value)
{
	if (strcmp(value, "pseudo")) {
		pr_err("memx: attach: mode must be pseudo, or left out\n");
		return -EINVAL;
	}
	params->pseudo = true;
	return 0;
}

static int memx_word_device(struct memx_params *params, const char *value)
{
	if (!*value || strlen(value) >= MEMX_RDMA_DEVICE_BYTES) {
		pr_err("memx: attach: device must be the name of an RDMA device\n");
		return -EINVAL;
	}
	strscpy(params->rdma_device, value, sizeof(params->rdma_device));
	return 0;
}

static int memx_word(struct memx_params *params, const char *key, char *value)
{
	unsigned int id, index;
	int ret;

	if (!strcmp(key, "region"))
		return memx_word_region(params, value);
	if (!strcmp(key, "link"))
		return memx_word_link(params, value);
	if (!strcmp(key, "server"))
		return memx_word_server(params, value);
	if (!strcmp(key, "token"))
		return memx_word_token(params, value);
	if (!strcmp(key, "size"))
		return memx_word_size(params, value);
	if (!strcmp(key, "mode"))
		return memx_word_mode(params, value);
	if (!strcmp(key, "device"))
		return memx_word_device(params, value);
	if (!strcmp(key, "ib_port"))
		return memx_word_number(key, value, 1, U8_MAX,
					&params->rdma_port);
	if (!strcmp(key, "gid_index")) {
		ret = memx_word_number(key, value, 0, U16_MAX, &index);
		if (!ret)
			params->gid_index = index;
		return ret;
	}
	if (!strcmp(key, "queue_depth"))
		return memx_word_number(key, value, 1, RMAP_MAX_QUEUE_DEPTH,
					&params->queue_depth);
	if (!strcmp(key, "mtu"))
		return memx_word_number(key, value, RMAP_MIN_MTU, RMAP_MAX_MTU,
					&params->mtu);
	if (!strcmp(key, "timeout_s"))
		return memx_word_number(key, value, 1, MEMX_MAX_TIMEOUT_S,
					&params->timeout_s);
	if (!strcmp(key, "id")) {
		ret = memx_word_number(key, value, 0, MEMX_MAX_ID, &id);
		if (!ret)
			params->id = id;
		return ret;
	}
	pr_err("memx: attach: no word %s; there are region link server token size queue_depth mtu timeout_s id mode device ib_port gid_index\n",
	       key);
	return -EINVAL;
}

static int memx_attach_parse(struct memx_params *params, char *line)
{
	char *word;
	int ret;

	while ((word = strsep(&line, " \t\n"))) {
		char *value;

		if (!*word)
			continue;
		value = strchr(word, '=');
		if (!value) {
			/* The word itself may be a token gone astray. */
			pr_err("memx: attach: every word must be of the form key=value\n");
			return -EINVAL;
		}
		*value++ = '\0';
		ret = memx_word(params, word, value);
		if (ret)
			return ret;
	}
	if (!params->link[0] || (!params->region[0] && !params->pseudo)) {
		pr_err("memx: attach: region= and link= are needed\n");
		return -EINVAL;
	}
	if (params->rdma_device[0] ? !strchr(params->link, ':') :
				     params->rdma_port != 1 ||
				     params->gid_index >= 0) {
		pr_err("memx: attach: device= goes with link=rdma:ADDRESS, ib_port= and gid_index= with device=\n");
		return -EINVAL;
	}
	if (!params->region[0] &&
	    (!params->slots || params->slots > MEMX_FRAMES_MAX_SLOTS)) {
		pr_err("memx: attach: mode=pseudo without region= needs size=, at most %lluG\n",
		       MEMX_FRAMES_MAX_SLOTS * RMAP_PAGE_BYTES >> 30);
		return -EINVAL;
	}
	/* One tag more is for what the server is told of a post-copy. */
	if (params->pseudo)
		params->queue_depth = min(params->queue_depth,
					  RMAP_MAX_QUEUE_DEPTH - 1U);
	return 0;
}

/**
 * memx_attach_line - make a device as a line of words says
 * @line: the line
 * @length: its length
 *
 * Return: 0 when the device is there, or why not.
 */
ssize_t memx_attach_line(const char *line, size_t length)
{
	struct memx_params *params;
	char *copy;
	int ret;

	if (length > MEMX_LINE_BYTES || memchr(line, '\0', length))
		return -EINVAL;
	copy = kmemdup_nul(line, length, GFP_KERNEL);
	params = kzalloc(sizeof(*params), GFP_KERNEL);
	ret = -ENOMEM;
	if (!copy || !params)
		goto out;
	eth_broadcast_addr(params->server);
	params->queue_depth = MEMX_DEFAULT_QUEUE_DEPTH;
	params->timeout_s = MEMX_DEFAULT_TIMEOUT_S;
	params->id = -1;
	params->rdma_port = 1;
	params->gid_index = -1;
	ret = memx_attach_parse(params, copy);
	if (!ret)
		ret = memx_device_create(params);
out:
	/* Both may hold a token. */
	kfree_sensitive(params);
	kfree_sensitive(copy);
	return ret;
}
