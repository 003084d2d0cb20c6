/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Both grammars take "\" and two hex digits for any octet. So all is written
 * that way but what is harmless in both everywhere: there is no list of
 * dangerous characters that could lack one.
 */
#include "names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

/* ---- what was typed ------------------------------------------------------ */

static bool
is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

/* Most names are ASCII, which is composed already. false: this one is not. */
static bool
compose_ascii(const struct name_rules *rules, struct portero_str typed,
    char to[NAME_SIZE])
{
	for (size_t i = 0; i < typed.len; i++) {
		char c = typed.ptr[i];

		if ((unsigned char)c >= 0x80)
			return false;
		to[i] = rules->lower && c >= 'A' && c <= 'Z' ? c | 0x20 : c;
	}
	return true;
}

/* In composed form (NFC), as keyboards and directories have it; and in small
 * letters by the rules of no particular language. */
static bool
compose(const struct name_rules *rules, struct portero_str typed,
    char to[NAME_SIZE], size_t *len_r)
{
	const uint8_t *from = (const uint8_t *)typed.ptr;
	uint8_t room[NAME_SIZE], *made;
	size_t n = sizeof room;

	if (typed.len == 0 || typed.len >= NAME_SIZE)
		return false;
	*len_r = typed.len;
	if (compose_ascii(rules, typed, to))
		return true;
	if (u8_check(from, typed.len) != NULL)
		return false;
	if (rules->lower)
		made = u8_tolower(from, typed.len, NULL, UNINORM_NFC, room, &n);
	else
		made = u8_normalize(UNINORM_NFC, from, typed.len, room, &n);
	if (made != NULL && n < NAME_SIZE)
		memcpy(to, made, n);
	if (made != room)
		free(made);
	*len_r = n;
	return made != NULL && n < NAME_SIZE;
}

/* Spaces at both ends go, runs become one. false: it has a control character.
 */
static bool
squeeze(char to[NAME_SIZE], size_t *len)
{
	size_t n = 0;

	for (size_t i = 0; i < *len; i++) {
		if (is_control(to[i]))
			return false;
		if (to[i] != ' ' || (n > 0 && to[n - 1] != ' '))
			to[n++] = to[i];
	}
	if (n > 0 && to[n - 1] == ' ')
		n--;
	to[n] = '\0';
	*len = n;
	return true;
}

bool
name_normalize(const struct name_rules *rules, struct portero_str typed,
    char to[NAME_SIZE])
{
	size_t n, domain;

	if (!compose(rules, typed, to, &n) || !squeeze(to, &n))
		return false;
	if (n == 0 || rules->default_domain == NULL || strchr(to, '@') != NULL)
		return n > 0;
	domain = strlen(rules->default_domain);
	if (n + 1 + domain >= NAME_SIZE)
		return false;
	to[n] = '@';
	memcpy(to + n + 1, rules->default_domain, domain + 1);
	return true;
}

/* ---- escaping ------------------------------------------------------------ */

/* Means nothing in a filter and nothing in a DN, wherever it stands. */
static bool
is_harmless(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (c != '\0' && strchr("@._-", c) != NULL);
}

static bool
escape(const char *value, size_t len, char *to, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];

		if (n + 4 > size)
			return false;
		if (is_harmless(value[i])) {
			to[n++] = value[i];
			continue;
		}
		to[n++] = '\\';
		to[n++] = digits[c >> 4];
		to[n++] = digits[c & 15];
	}
	if (n >= size)
		return false;
	to[n] = '\0';
	return true;
}

bool
filter_escape(const char *value, size_t len, char *to, size_t size)
{
	return escape(value, len, to, size);
}

bool
dn_escape(const char *value, size_t len, char *to, size_t size)
{
	return escape(value, len, to, size);
}

/* ---- templates ----------------------------------------------------------- */

void
name_values(const char *name, struct name_value to[NAME_VALUES])
{
	const char *at = strrchr(name, '@');
	size_t len = strlen(name);
	size_t local = at == NULL ? len : (size_t)(at - name);
	const char *domain = at == NULL ? name + len : at + 1;

	to[0] = (struct name_value){ 'u', { name, len } };
	to[1] = (struct name_value){ 'n', { name, local } };
	to[2] = (struct name_value){ 'd', { domain, strlen(domain) } };
}

bool
name_is_in(const char *template, const char *letters)
{
	const char *p = strchr(template, '%');

	for (; p != NULL && p[1] != '\0'; p = strchr(p + 2, '%'))
		if (strchr(letters, p[1]) != NULL)
			return true;
	return false;
}

static const struct name_value *
find(const struct name_value *values, size_t n, char letter)
{
	for (size_t i = 0; i < n; i++)
		if (values[i].letter == letter)
			return &values[i];
	return NULL;
}

bool
name_expand(const char *template, const struct name_value *values, size_t n,
    name_escape *escape_value, char *to, size_t size)
{
	const struct name_value *v;
	size_t len = 0;

	for (const char *p = template; *p != '\0'; p++) {
		if (len + 1 >= size)
			return false;
		if (*p != '%' || p[1] == '%') {
			to[len++] = *p;
			p += *p == '%';
			continue;
		}
		v = find(values, n, *++p);
		if (v == NULL ||
		    !escape_value(v->value.ptr, v->value.len, to + len,
			size - len))
			return false;
		len += strlen(to + len);
	}
	to[len] = '\0';
	return true;
}
