/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The identity blob: what the session carries of a person between questions.
 * Only the pools look inside, so that workers keep nothing.
 *
 * The title of the auth section stands first; of the arrays only the used
 * part is carried.
 */
#include "ipc/question.h"
#include "ipc/wire.h"

static bool
is_list(const char *addresses, uint32_t len, size_t cap)
{
	return len <= cap && (len == 0 || addresses[len - 1] == '\0');
}

size_t
identity_encode_from(uint8_t *to, size_t size, const struct portero_identity *i,
    struct str section)
{
	struct wire_out w = { .data = to, .cap = size };

	if (w.cap > IDENTITY_MAX)
		w.cap = IDENTITY_MAX;
	if (i->nlimits > PORTERO_MAX_LIMITS ||
	    !is_list(i->addresses, i->addresses_len, sizeof i->addresses))
		return 0;
	wire_put_str(&w, section);
	wire_put_cstr(&w, i->id);
	wire_put_cstr(&w, i->class_name);
	wire_put_cstr(&w, i->language);
	wire_put_i64(&w, i->max_size);
	wire_put_u8(&w, (uint8_t)i->nlimits);
	for (uint32_t n = 0; n < i->nlimits; n++) {
		wire_put_cstr(&w, i->limits[n].name);
		wire_put_i64(&w, i->limits[n].max);
		wire_put_u32(&w, i->limits[n].window_s);
	}
	wire_put_u8(&w, i->addresses_complete);
	wire_put_str(&w, (struct str){ i->addresses, i->addresses_len });
	return w.bad ? 0 : w.len;
}

size_t
identity_encode(uint8_t *to, size_t size, const struct portero_identity *i)
{
	return identity_encode_from(to, size, i, STR(""));
}

int
identity_decode_from(struct str blob, struct portero_identity *i,
    struct str *section)
{
	struct wire_in w = { .data = (const uint8_t *)blob.ptr,
		.len = blob.len };
	struct str list;
	uint8_t flag;

	memset(i, 0, sizeof *i);
	i->size = sizeof *i;
	*section = wire_get_str(&w);
	wire_get_cstr(&w, i->id, sizeof i->id);
	wire_get_cstr(&w, i->class_name, sizeof i->class_name);
	wire_get_cstr(&w, i->language, sizeof i->language);
	i->max_size = wire_get_i64(&w);
	i->nlimits = wire_get_u8(&w);
	if (i->nlimits > PORTERO_MAX_LIMITS)
		return -1;
	for (uint32_t n = 0; n < i->nlimits; n++) {
		struct portero_limit *l = &i->limits[n];

		wire_get_cstr(&w, l->name, sizeof l->name);
		l->max = wire_get_i64(&w);
		l->window_s = wire_get_u32(&w);
	}
	flag = wire_get_u8(&w);
	i->addresses_complete = flag == 1;
	list = wire_get_str(&w);
	if (!wire_done(&w) || flag > 1 || blob.len > IDENTITY_MAX ||
	    list.len > sizeof i->addresses ||
	    !is_list(list.ptr, (uint32_t)list.len, sizeof i->addresses))
		return -1;
	if (list.len > 0)
		memcpy(i->addresses, list.ptr, list.len);
	i->addresses_len = (uint32_t)list.len;
	return 0;
}

int
identity_decode(struct str blob, struct portero_identity *i)
{
	struct str section;

	return identity_decode_from(blob, i, &section);
}

static struct str
domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return str_of(at == NULL ? "" : at + 1);
}

struct str
identity_domain(const struct portero_identity *i)
{
	struct str domain = domain_of(i->id);

	if (domain.len == 0 && i->addresses_len > 0)
		domain = domain_of(i->addresses);
	return domain;
}

static bool
is_listed(const struct portero_identity *i, struct str address)
{
	struct str own;

	for (uint32_t at = 0; at < i->addresses_len; at += own.len + 1) {
		own = str_of(i->addresses + at);
		if (str_case_eq(own, address))
			return true;
	}
	return false;
}

enum portero_owned
identity_owns(const struct portero_identity *i, struct str address,
    const char *delimiters)
{
	char plain[ADDRESS_MAX + 1];

	if (is_listed(i, address) ||
	    (address_plain(plain, address, delimiters) > 0 &&
		is_listed(i, str_of(plain))))
		return PORTERO_OWNED_YES;
	return i->addresses_complete ? PORTERO_OWNED_NO : PORTERO_OWNED_UNKNOWN;
}

size_t
address_plain(char to[ADDRESS_MAX + 1], struct str address,
    const char *delimiters)
{
	const char *at;
	size_t local, len;

	if (address.len == 0 || address.len > ADDRESS_MAX ||
	    address.ptr[0] == '"' ||
	    memchr(address.ptr, '\0', address.len) != NULL)
		return 0;
	memcpy(to, address.ptr, address.len);
	to[address.len] = '\0';
	at = strrchr(to, '@');
	local = strcspn(to, delimiters);
	if (at == NULL || local == 0 || local >= (size_t)(at - to))
		return 0;
	len = address.len - (size_t)(at - to);
	memmove(to + local, at, len + 1);
	return local + len;
}
