/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "control/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "control/text.h"

bool
request_person_ok(struct str name)
{
	return name.len > 0 && name.len <= PERSON_MAX && text_is_clean(name);
}

bool
request_address_ok(struct str address)
{
	for (size_t i = 0; i < address.len; i++)
		if (address.ptr[i] <= ' ' || address.ptr[i] > '~' ||
		    address.ptr[i] == '<' || address.ptr[i] == '>')
			return false;
	return address.len > 0 && address.len <= PERSON_MAX;
}

static const char *
operand_name(const struct verb *v)
{
	return (v->flags & VERB_HOST) != 0 ? "host" : "person";
}

char *
request_operand(struct request *r)
{
	return (r->verb->flags & VERB_HOST) != 0 ? r->host : r->person;
}

/* How many members, or -1. */
static int
take_addresses(struct request *r, const json_t *object)
{
	const json_t *from = json_object_get(object, "from");
	const json_t *to = json_object_get(object, "to");

	if (from == NULL && to == NULL)
		return 0;
	if ((r->verb->flags & VERB_HAS_ONLINE) == 0 || !json_is_string(from) ||
	    !json_is_string(to) ||
	    !request_address_ok(str_of(json_string_value(from))) ||
	    !request_address_ok(str_of(json_string_value(to))))
		return -1;
	str_copy(r->from, sizeof r->from, str_of(json_string_value(from)));
	str_copy(r->to, sizeof r->to, str_of(json_string_value(to)));
	return 2;
}

static int
request_fill(struct request *r, json_t *object, struct error *err)
{
	const json_t *verb = json_object_get(object, "verb"), *operand;
	const json_t *all = json_object_get(object, "all");
	struct str name;
	int naddresses;

	if (!json_is_string(verb))
		return error_set(err, ERROR_PERMANENT, "\"verb\" is missing");
	r->verb = verb_find(json_string_value(verb));
	if (r->verb == NULL || (r->verb->flags & VERB_LOCAL) != 0)
		return error_set(err, ERROR_PERMANENT, "no such verb");
	operand = json_object_get(object, operand_name(r->verb));
	if ((operand != NULL) != ((r->verb->flags & VERB_OPERAND) != 0) &&
	    (operand != NULL || (r->verb->flags & VERB_MAY_OMIT) == 0))
		return error_set(err, ERROR_PERMANENT, "\"%s\" takes %s %s",
		    r->verb->name, operand == NULL ? "a" : "no",
		    operand_name(r->verb));
	if (operand != NULL) {
		name = (struct str){ json_string_value(operand),
			json_string_length(operand) };
		if (!json_is_string(operand) || !request_person_ok(name))
			return error_set(err, ERROR_PERMANENT,
			    "a %s is a name of 1 to %d bytes",
			    operand_name(r->verb), PERSON_MAX);
		str_copy(request_operand(r), PERSON_MAX + 1, name);
	}
	if (all != NULL &&
	    ((r->verb->flags & VERB_HAS_ALL) == 0 || !json_is_boolean(all)))
		return error_set(
		    err, ERROR_PERMANENT, "\"all\" is out of place");
	r->all = json_is_true(all);
	naddresses = take_addresses(r, object);
	if (naddresses == -1)
		return error_set(err, ERROR_PERMANENT,
		    "\"from\" and \"to\" are out of place, or no addresses");
	if (json_object_size(object) !=
	    1u + (unsigned)naddresses + (operand != NULL ? 1 : 0) + (all != NULL ? 1 : 0))
		return error_set(err, ERROR_PERMANENT, "unknown member");
	return 0;
}

int
request_parse(
    const char *line, size_t len, struct request *r, struct error *err)
{
	json_error_t where;
	json_t *object;
	int ret;

	*r = (struct request){ .verb = NULL };
	if (len > REQUEST_MAX)
		return error_set(err, ERROR_PERMANENT,
		    "a request has at most %d bytes", REQUEST_MAX);
	object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
	if (object == NULL)
		return error_set(
		    err, ERROR_PERMANENT, "not JSON: %s", where.text);
	if (!json_is_object(object))
		ret = error_set(err, ERROR_PERMANENT, "not a JSON object");
	else
		ret = request_fill(r, object, err);
	json_decref(object);
	return ret;
}

/* One line of it, with its end; takes the value over. */
static char *
dump_line(json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT), *line;

	if (text == NULL) /* values of ours: only for want of memory */
		abort();
	json_decref(value);
	line = xasprintf("%s\n", text);
	free(text);
	return line;
}

char *
request_line(const struct request *r)
{
	json_t *object = json_pack("{s:s}", "verb", r->verb->name);
	const char *operand =
	    (r->verb->flags & VERB_HOST) != 0 ? r->host : r->person;

	if ((r->verb->flags & VERB_OPERAND) != 0 && *operand != '\0')
		json_object_set_new(object, operand_name(r->verb),
		    answer_string(str_of(operand)));
	if (r->all)
		json_object_set_new(object, "all", json_true());
	if (*r->from != '\0') {
		json_object_set_new(object, "from", json_string(r->from));
		json_object_set_new(object, "to", json_string(r->to));
	}
	return dump_line(object);
}

json_t *
answer_ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

json_t *
answer_text(struct str text)
{
	json_t *answer = answer_ok();

	json_object_set_new(answer, "text", answer_string(text));
	return answer;
}

json_t *
answer_error(const char *reason, const char *format, ...)
{
	json_t *answer;
	char *words;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&words, format, ap) == -1)
		abort();
	va_end(ap);
	answer = json_pack("{s:b, s:s}", "ok", 0, "reason", reason);
	json_object_set_new(answer, "error", answer_string(str_of(words)));
	free(words);
	return answer;
}

json_t *
answer_string(struct str s)
{
	struct buf clean = { .mem = NULL };
	json_t *string = NULL;
	uint32_t point;
	size_t n;

	if (s.len == 0)
		return json_string("");
	if (memchr(s.ptr, '\0', s.len) == NULL)
		string = json_stringn(s.ptr, s.len);
	if (string != NULL)
		return string;
	while (s.len > 0) {
		n = text_point(s, &point);
		if (n == 0 || point == 0)
			buf_append(&clean, "?", n = 1);
		else
			buf_append(&clean, s.ptr, n);
		s = (struct str){ s.ptr + n, s.len - n };
	}
	string = json_stringn(buf_data(&clean), buf_len(&clean));
	buf_free(&clean);
	return string;
}

char *
answer_line(json_t *answer)
{
	char *line = dump_line(answer);

	if (strlen(line) <= ANSWER_MAX)
		return line;
	free(line);
	return dump_line(answer_error(
	    REASON_FAILED, "the answer has more than %d bytes", ANSWER_MAX));
}
