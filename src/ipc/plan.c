/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The plan on its way from the check role to the master. Every number is
 * bounded here, so that the master may use a decoded plan as it is.
 */
#include "ipc/plan.h"

#include <netinet/in.h>
#include <string.h>

#include "base/log.h"
#include "ipc/wire.h"

#define PLAN_VERSION 1
#define BACKLOG_MAX 65535
#define TIMEOUT_MAX_MS (7 * 86400 * 1000LL)

static void
put_listener(struct wire_out *w, const struct plan_listener *l)
{
	wire_put_u8(w, l->dual_stack);
	wire_put_u32(w, (uint32_t)l->backlog);
	wire_put_str(w,
	    (struct str){ (const char *)&l->address, l->address_len });
}

static void
put_users(struct wire_out *w, const struct plan *p)
{
	wire_put_u32(w, p->session_uid);
	wire_put_u32(w, p->auth_uid);
	wire_put_u32(w, p->policy_uid);
	wire_put_u32(w, p->session_gid);
	wire_put_u32(w, p->auth_gid);
	wire_put_u32(w, p->policy_gid);
	wire_put_u32(w, p->control_gid);
}

size_t
plan_encode(uint8_t *to, size_t size, const struct plan *p)
{
	struct wire_out w = { .data = to, .cap = size };
	unsigned i;

	wire_put_u8(&w, PLAN_VERSION);
	wire_put_u32(&w, p->nsession);
	wire_put_u32(&w, p->nauth);
	wire_put_u32(&w, p->npolicy);
	wire_put_u32(&w, p->nlisteners);
	for (i = 0; i < p->nlisteners; i++)
		put_listener(&w, &p->listeners[i]);
	wire_put_u32(&w, p->nmodules);
	for (i = 0; i < p->nmodules; i++) {
		wire_put_u8(&w, (uint8_t)p->modules[i].role);
		wire_put_cstr(&w, p->modules[i].name);
	}
	put_users(&w, p);
	wire_put_cstr(&w, p->chroot_dir);
	wire_put_cstr(&w, p->control_socket);
	wire_put_cstr(&w, p->state_dir);
	wire_put_cstr(&w, p->pid_file);
	wire_put_u8(&w, (uint8_t)p->log_kind);
	wire_put_u8(&w, (uint8_t)p->log_level);
	wire_put_cstr(&w, p->log_path);
	wire_put_i64(&w, p->drain_timeout_ms);
	wire_put_i64(&w, p->stop_timeout_ms);
	wire_put_i64(&w, p->auth_deadline_ms);
	wire_put_i64(&w, p->policy_deadline_ms);
	return w.bad ? 0 : w.len;
}

/* A number from min to max; anything else makes the cursor bad. */
static unsigned
get_count(struct wire_in *w, unsigned min, unsigned max)
{
	uint32_t n = wire_get_u32(w);

	if (n < min || n > max) {
		w->bad = true;
		return 0;
	}
	return n;
}

static int64_t
get_ms(struct wire_in *w)
{
	int64_t ms = wire_get_i64(w);

	if (ms < 0 || ms > TIMEOUT_MAX_MS)
		w->bad = true;
	return ms;
}

static void
get_listener(struct wire_in *w, struct plan_listener *l)
{
	struct str address;
	sa_family_t family;

	l->dual_stack = wire_get_u8(w) == 1;
	l->backlog = (int)get_count(w, 1, BACKLOG_MAX);
	address = wire_get_str(w);
	if (w->bad || address.len > sizeof(l->address)) {
		w->bad = true;
		return;
	}
	memcpy(&l->address, address.ptr, address.len);
	l->address_len = (socklen_t)address.len;
	family = l->address.ss_family;
	if ((family != AF_INET || address.len != sizeof(struct sockaddr_in)) &&
	    (family != AF_INET6 || address.len != sizeof(struct sockaddr_in6)))
		w->bad = true;
}

static void
get_module(struct wire_in *w, struct plan_module *m)
{
	m->role = (enum role)wire_get_u8(w);
	if (m->role != ROLE_AUTH && m->role != ROLE_POLICY)
		w->bad = true;
	wire_get_cstr(w, m->name, sizeof(m->name));
}

static void
get_users(struct wire_in *w, struct plan *p)
{
	p->session_uid = wire_get_u32(w);
	p->auth_uid = wire_get_u32(w);
	p->policy_uid = wire_get_u32(w);
	p->session_gid = wire_get_u32(w);
	p->auth_gid = wire_get_u32(w);
	p->policy_gid = wire_get_u32(w);
	p->control_gid = wire_get_u32(w);
}

int
plan_decode(const uint8_t *data, size_t len, struct plan *p)
{
	struct wire_in w = { .data = data, .len = len };
	unsigned i;

	*p = (struct plan){ 0 };
	if (wire_get_u8(&w) != PLAN_VERSION)
		return -1;
	p->nsession = get_count(&w, 1, MAX_SESSION_WORKERS);
	p->nauth = get_count(&w, 1, MAX_POOL_WORKERS);
	p->npolicy = get_count(&w, 1, MAX_POOL_WORKERS);
	p->nlisteners = get_count(&w, 1, MAX_LISTENERS);
	for (i = 0; i < p->nlisteners && !w.bad; i++)
		get_listener(&w, &p->listeners[i]);
	p->nmodules = get_count(&w, 0, MAX_MODULES);
	for (i = 0; i < p->nmodules && !w.bad; i++)
		get_module(&w, &p->modules[i]);
	get_users(&w, p);
	wire_get_cstr(&w, p->chroot_dir, sizeof(p->chroot_dir));
	wire_get_cstr(&w, p->control_socket, sizeof(p->control_socket));
	wire_get_cstr(&w, p->state_dir, sizeof(p->state_dir));
	wire_get_cstr(&w, p->pid_file, sizeof(p->pid_file));
	p->log_kind = wire_get_u8(&w);
	p->log_level = wire_get_u8(&w);
	wire_get_cstr(&w, p->log_path, sizeof(p->log_path));
	p->drain_timeout_ms = get_ms(&w);
	p->stop_timeout_ms = get_ms(&w);
	p->auth_deadline_ms = get_ms(&w);
	p->policy_deadline_ms = get_ms(&w);
	if (p->log_kind > 2 || p->log_level > LOG_LEVEL_DEBUG)
		return -1;
	return wire_done(&w) ? 0 : -1;
}
