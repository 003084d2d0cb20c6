/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What comes in on the control socket, and what goes to a terminal: a request
 * that is taken says the same when it is written again; text that is shown
 * is clean; a users file keeps its other lines.
 */
#include <stdint.h>
#include <stdlib.h>

#include "control/passwd_file.h"
#include "control/request.h"
#include "control/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(claim)                                                           \
	do {                                                                   \
		if (!(claim))                                                  \
			abort();                                               \
	} while (0)

static void
try_request(const char *line, size_t len)
{
	struct request r, again;
	struct error err;
	char *text;

	if (request_parse(line, len, &r, &err) == -1)
		return;
	text = request_line(&r);
	CHECK(request_parse(text, strlen(text) - 1, &again, &err) == 0);
	CHECK(again.verb == r.verb && again.all == r.all);
	CHECK(strcmp(again.person, r.person) == 0);
	free(text);
}

static void
try_text(struct str s)
{
	struct buf out = { .mem = NULL };
	char *line;

	text_show(&out, s, false);
	CHECK(buf_len(&out) >= s.len);
	if (buf_len(&out) > 0)
		CHECK(text_is_clean(
		    (struct str){ buf_data(&out), buf_len(&out) }));
	buf_free(&out);
	line = answer_line(answer_text(s));
	CHECK(strchr(line, '\n') == line + strlen(line) - 1);
	free(line);
}

static size_t
count_lines(struct str s)
{
	size_t n = s.len > 0 && s.ptr[s.len - 1] != '\n';

	for (size_t i = 0; i < s.len; i++)
		n += s.ptr[i] == '\n';
	return n;
}

static void
try_users(struct str s)
{
	struct passwd_edit e = { .change = PASSWD_LOCK, .name = "a" };
	struct buf out = { .mem = NULL };
	struct error err;

	if (passwd_edit(s, &e, &out, &err) == 0)
		CHECK(count_lines((struct str){
			  buf_data(&out), buf_len(&out) }) == count_lines(s));
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct str s = { (const char *)data, len };

	try_request(s.ptr, s.len);
	try_text(s);
	try_users(s);
	return 0;
}
