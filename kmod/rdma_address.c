// SPDX-License-Identifier: GPL-2.0
/*
 * Which server, and from which port of which RDMA device.
 *
 * The connection manager finds the device by the address it leads from. So
 * device=, ib_port= and gid_index= are just another way to write that address:
 * a GID of RoCE stands for one.
 */
#include <linux/inet.h>
#include <linux/string.h>
#include <net/addrconf.h>
#include <rdma/ib_addr.h>
#include <rdma/ib_cache.h>

#include "rdma.h"

/**
 * memx_rdma_parse - read a server's address
 * @name: ADDRESS or ADDRESS:PORT; an IPv6 address in brackets if a port follows
 * @server: the address
 *
 * Return: 0 or -EINVAL.
 */
int memx_rdma_parse(const char *name, struct sockaddr_storage *server)
{
	char text[MEMX_LINK_BYTES], *host, *port, *end;

	strscpy(text, name, sizeof(text));
	host = text;
	port = strchr(host, ':');
	if (*host == '[') {
		host++;
		end = strchr(host, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		port = end[1] ? end + 1 : NULL;
		*end = '\0';
	} else if (port && strchr(port + 1, ':')) {
		/* IPv6, and no port. */
		port = NULL;
	}
	if (port)
		*port++ = '\0';
	if (inet_pton_with_scope(&init_net, AF_UNSPEC, host,
				 port ?: __stringify(RMAP_RDMA_PORT), server))
		return -EINVAL;
	return 0;
}

/* The address that a GID stands for; false for one that stands for none. */
static bool memx_rdma_gid_address(const union ib_gid *gid,
				  sa_family_t family,
				  struct sockaddr_storage *address)
{
	struct sockaddr *sa = (struct sockaddr *)address;

	memset(address, 0, sizeof(*address));
	if (ipv6_addr_any((const struct in6_addr *)gid->raw) ||
	    ipv6_addr_type((const struct in6_addr *)gid->raw) &
		    IPV6_ADDR_LINKLOCAL)
		return false;
	rdma_gid2ip(sa, gid);
	return sa->sa_family == family;
}

/**
 * memx_rdma_source - the address that the connection is to lead from
 * @rdma: the connection
 * @source: the address; of no family when any will do
 *
 * Return: 0; -ENODEV when there is no such RDMA device; -EADDRNOTAVAIL when
 * none of its GIDs, or not the one asked for, stands for an address of the
 * server's family.
 */
int memx_rdma_source(const struct memx_rdma *rdma,
		     struct sockaddr_storage *source)
{
	const struct memx_params *params = &rdma->dev->params;
	struct ib_device *device;
	union ib_gid gid;
	int index, ret;

	source->ss_family = AF_UNSPEC;
	if (!params->rdma_device[0])
		return 0;
	device = ib_device_get_by_name(params->rdma_device,
				       RDMA_DRIVER_UNKNOWN);
	if (!device)
		return -ENODEV;
	if (!rdma_is_port_valid(device, params->rdma_port)) {
		ret = -ENODEV;
		goto out;
	}
	index = max(params->gid_index, 0);
	do {
		/* -EINVAL behind the last, -ENOENT where there is none. */
		ret = rdma_query_gid(device, params->rdma_port, index, &gid);
		if (!ret && !memx_rdma_gid_address(&gid,
						   rdma->server.ss_family,
						   source))
			ret = -ENOENT;
		index++;
	} while (ret == -ENOENT && params->gid_index < 0);
	if (ret)
		ret = -EADDRNOTAVAIL;
out:
	ib_device_put(device);
	return ret;
}
