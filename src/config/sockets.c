/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Listeners as socket addresses. All roles come to the same order.
 */
#include <string.h>
#include <unistd.h>

#include "config/check.h"
#include "config/conf.h"

static bool
has_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return false;
	close(fd);
	return true;
}

size_t
config_sockets(const struct config *c, struct config_socket *to, size_t max)
{
	const char *any = has_ipv6() ? "::" : "0.0.0.0";
	size_t n = 0;

	for (size_t i = 0; i < c->nlistens; i++)
		for (char **a = c->listens[i].address; *a != NULL; a++, n++) {
			struct config_socket *s;

			if (n >= max)
				continue;
			s = &to[n];
			s->listen = &c->listens[i];
			/* the text was checked when it was loaded */
			check_address(strcmp(*a, "*") == 0 ? any : *a,
			    c->listens[i].port, &s->address, &s->address_len);
		}
	return n;
}
