// SPDX-License-Identifier: GPL-2.0
/*
 * A guest and its host about a migration, through XenStore: docs/POSTCOPY.md
 * lists the keys. All lie in data/memx/ of the guest's own directory.
 *
 * The host writes what the migration needs to know, and then request=prepare,
 * request=page-out or request=cancel; the guest answers through state and
 * error, and then removes the request. While that is there, the answer is to an
 * earlier one.
 */
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <xen/xenbus.h>

#include "memx.h"

#define MEMX_XENSTORE_DIR "data/memx"
#define MEMX_XENSTORE_VERSION 2
#define MEMX_PREPARE_DEFAULT_S 30
#define MEMX_PREPARE_MAX_S 3600

/* There is one pseudo-paging device at most. */
static struct memx_device *memx_xenstore_device;

/**
 * memx_xenstore_write - write a key
 * @key: its name
 * @format: its value, as for printf()
 *
 * May sleep. When it fails, the log says so: nobody here could do anything.
 */
void memx_xenstore_write(const char *key, const char *format, ...)
{
	struct va_format value = { .fmt = format };
	va_list args;
	int ret;

	va_start(args, format);
	value.va = &args;
	ret = xenbus_printf(XBT_NIL, MEMX_XENSTORE_DIR, key, "%pV", &value);
	va_end(args);
	if (ret)
		pr_err_ratelimited("memx: XenStore: writing %s: error %d\n",
				   key, ret);
}

/**
 * memx_xenstore_remove - remove a key
 * @key: its name
 */
void memx_xenstore_remove(const char *key)
{
	xenbus_rm(XBT_NIL, MEMX_XENSTORE_DIR, key);
}

/* A key's value into @text; empty when there is no such key. */
static int memx_xenstore_read(const char *key, char *text, size_t bytes)
{
	char *value = xenbus_read(XBT_NIL, MEMX_XENSTORE_DIR, key, NULL);
	ssize_t length;

	text[0] = '\0';
	if (IS_ERR(value))
		return PTR_ERR(value) == -ENOENT ? 0 : PTR_ERR(value);
	length = strscpy(text, value, bytes);
	kfree(value);
	return length < 0 ? -EINVAL : 0;
}

static int memx_xenstore_number(const char *key, u64 most, u64 *number)
{
	char text[24];
	int ret = memx_xenstore_read(key, text, sizeof(text));

	if (!ret && text[0])
		ret = kstrtou64(text, 10, number);
	return ret ?: *number > most ? -ERANGE : 0;
}

/* Return the name of a key that makes no sense, or NULL. */
static const char *memx_xenstore_parameters(struct memx_migration *migration)
{
	u64 prepare_s = MEMX_PREPARE_DEFAULT_S;

	memset(migration, 0, sizeof(*migration));
	if (memx_xenstore_read("region", migration->region,
			       sizeof(migration->region)) ||
	    !memx_region_valid(migration->region))
		return "region";
	if (memx_xenstore_read("token", migration->token,
			       sizeof(migration->token)))
		return "token";
	if (memx_xenstore_read("server", migration->server,
			       sizeof(migration->server)))
		return "server";
	if (memx_xenstore_read("strategy", migration->strategy,
			       sizeof(migration->strategy)))
		return "strategy";
	if (memx_xenstore_number("rate", U64_MAX, &migration->rate))
		return "rate";
	if (memx_xenstore_number("prepare_s", MEMX_PREPARE_MAX_S, &prepare_s))
		return "prepare_s";
	migration->prepare_s = prepare_s;
	return NULL;
}

static void memx_xenstore_prepare(struct memx_device *dev)
{
	struct memx_migration *migration = kmalloc(sizeof(*migration),
						   GFP_KERNEL);
	const char *wrong;

	if (!migration) {
		memx_pseudo_refuse(dev, "out of memory");
		return;
	}
	wrong = memx_xenstore_parameters(migration);
	if (wrong)
		memx_pseudo_refuse(dev, "the key %s makes no sense", wrong);
	else
		memx_pseudo_prepare(dev, migration);
	kfree_sensitive(migration);
}

static void memx_xenstore_request(struct xenbus_watch *watch, const char *path,
				  const char *token)
{
	struct memx_device *dev = memx_xenstore_device;
	char request[16], now[16];

	/* The watch also fires when it is set, and when the key is removed. */
	if (memx_xenstore_read("request", request, sizeof(request)) ||
	    !request[0])
		return;
	if (!strcmp(request, "prepare"))
		memx_xenstore_prepare(dev);
	else if (!strcmp(request, "page-out"))
		memx_pseudo_page_out(dev);
	else if (!strcmp(request, "cancel"))
		memx_pseudo_cancel(dev);
	else
		memx_pseudo_refuse(dev, "there is no request %s", request);
	/* A newer one is answered when the watch fires for it. */
	if (!memx_xenstore_read("request", now, sizeof(now)) &&
	    !strcmp(now, request))
		memx_xenstore_remove("request");
}

static struct xenbus_watch memx_xenstore_watch = {
	.node = MEMX_XENSTORE_DIR "/request",
	.callback = memx_xenstore_request,
};

/**
 * memx_xenstore_introduce - write what does not change
 * @dev: the device
 *
 * To be written again in the directory that the guest has on another host.
 */
void memx_xenstore_introduce(struct memx_device *dev)
{
	memx_xenstore_write("version", "%d", MEMX_XENSTORE_VERSION);
	memx_xenstore_write("slots", "%llu", dev->slots);
	memx_xenstore_write("transport", "%s", dev->transport->name);
}

/**
 * memx_xenstore_begin - listen to what the host asks for
 * @dev: the device
 *
 * Return: 0 or why not.
 */
int memx_xenstore_begin(struct memx_device *dev)
{
	memx_xenstore_device = dev;
	return register_xenbus_watch(&memx_xenstore_watch);
}

/**
 * memx_xenstore_end - listen no more, and leave nothing behind
 */
void memx_xenstore_end(void)
{
	unregister_xenbus_watch(&memx_xenstore_watch);
	xenbus_rm(XBT_NIL, MEMX_XENSTORE_DIR, "");
	memx_xenstore_device = NULL;
}
