/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever two clients, the pools, the upstream and the clock do, in whatever
 * order: a client is told 250 of a message only if the upstream said so of it,
 * and once; no message is sent that no client ended; every take is settled;
 * passwords go through TLS; replies are legal and no more than the commands;
 * and at the end nothing is left, whoever has fallen silent.
 *
 * Input: two bytes of choices, then one byte for each thing that happens; what
 * stands between double quotes is said by the client as it is. What a client
 * says is gathered and arrives with the next thing of another kind.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "session/session.h"
#include "session_net.h"
#include "session_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CLIENTS 2
#define INPUT_MAX 600
#define LINE_MAX_REPLY 512
#define DEADLINE_S 5 /* the pools' longest */
#define STEPS_MAX 120 /* of time: more than max_session_ms */

struct client {
	int fd; /* -1: none */
	bool is_deaf;
	struct buf say, heard;
	unsigned ncommands, nreplies;
	unsigned ndata; /* DATA said, no 354 heard */
	bool ends_data; /* 354: the next reply is that to the end of data */
	int code;       /* of a reply that goes on, else 0 */
};

static struct client clients[CLIENTS], *client;
static unsigned nends; /* that clients may have sent */

/* What a client says, by the token. */
static const struct phrase {
	char token;
	const char *words;
} phrases[] = {
	{ 'E', "EHLO client.example\r\n" },
	{ 'H', "HELO client.example\r\n" },
	{ 'S', "STARTTLS\r\n" },
	{ 'T', "\x16" },
	{ 'A', "AUTH PLAIN AGFuYQBzM2NyZXQ=\r\n" },
	{ 'I', "AUTH LOGIN\r\n" },
	{ 'i', "YW5h\r\n" },
	{ '*', "*\r\n" },
	{ 'M', "MAIL FROM:<ana@example.org>\r\n" },
	{ 'm', "MAIL FROM:<ana@example.org> SIZE=300 BODY=8BITMIME\r\n" },
	{ 'R', "RCPT TO:<bob@example.net>\r\n" },
	{ 'r', "RCPT TO:<eve@example.net> NOTIFY=NEVER\r\n" },
	{ 'D', "DATA\r\n" },
	{ 'x', "Hello there.\r\n" },
	{ 'e', "\r\n.\r\n" },
	{ '.', "." },
	{ 'c', "\r" },
	{ 'n', "\n" },
	{ 'B', "BDAT 6\r\nHello\n" },
	{ 'b', "BDAT 9\r\nLine 1\r\n\r" },
	{ 'L', "BDAT 3 LAST\r\nx\r\n" },
	{ 'l', "BDAT 0 LAST\r\n" },
	{ 'N', "NOOP\r\n" },
	{ 'Z', "RSET\r\n" },
	{ 'Q', "QUIT\r\n" },
	{ 'V', "VRFY ana\r\n" },
	{ 'X', "GET / HTTP/1.1\r\n" },
	{ 'U', "MAIL FROM:<\xc3\xa9@example.org> SMTPUTF8\r\n" },
};

/* ---- clients ------------------------------------------------------------ */

static void
reply_end(struct client *c, const char *line, int code)
{
	c->nreplies++;
	/* the greeting; 421 may come at any time */
	assert(c->nreplies <= c->ncommands + 2);
	if (strstr(line, "final-") != NULL && code / 100 == 2)
		upstream_assert_final(line);
	else
		assert(!c->ends_data || code / 100 != 2);
	c->ends_data = code == 354;
	if (c->ends_data) {
		nends++;
		c->ndata -= c->ndata > 0;
	}
}

/* Of a reply: 3 digits, then a space, or a hyphen where it goes on. */
static void
reply_line(struct client *c, const char *line, size_t len)
{
	char text[LINE_MAX_REPLY + 1];
	int code;

	assert(len >= 6 && len <= LINE_MAX_REPLY);
	assert(line[len - 2] == '\r' && (line[3] == ' ' || line[3] == '-'));
	for (size_t i = 0; i < len - 2; i++)
		assert((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
	memcpy(text, line, len);
	text[len] = '\0';
	code = atoi(text);
	assert(code >= 200 && code < 600 && (c->code == 0 || c->code == code));
	c->code = line[3] == '-' ? code : 0;
	if (c->code == 0)
		reply_end(c, text, code);
}

/* Was there so much that more may wait to be said? */
static bool
client_hear(struct client *c)
{
	char block[NET_STREAM_MAX];
	bool is_full = false;
	const char *lf;
	size_t len;
	ssize_t n;

	if (c->fd == -1 || c->is_deaf)
		return false;
	while ((n = recv(c->fd, block, sizeof block, MSG_DONTWAIT)) > 0) {
		buf_append(&c->heard, block, (size_t)n);
		is_full |= n == NET_STREAM_MAX;
	}
	while (buf_len(&c->heard) > 0 &&
	    (lf = memchr(buf_data(&c->heard), '\n', buf_len(&c->heard))) !=
		NULL) {
		len = (size_t)(lf - buf_data(&c->heard)) + 1;
		reply_line(c, buf_data(&c->heard), len);
		buf_consume(&c->heard, len);
	}
	return is_full;
}

static void
client_close(struct client *c)
{
	c->is_deaf = false;
	(void)client_hear(c);
	/* What it said ahead of a 354 that it does not hear may be a message. */
	nends += c->ndata;
	if (c->fd != -1)
		close(c->fd);
	buf_free(&c->say);
	buf_free(&c->heard);
	*c = (struct client){ .fd = -1 };
}

static void
client_come(struct client *c)
{
	client_close(c);
	c->fd = rig_connect();
}

static void
count_said(struct client *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const char lower = data[i] | 0x20;

		c->ncommands += data[i] == '\n';
		if (i + 4 > len || (lower != 'd' && lower != 'l'))
			continue;
		c->ndata += strncasecmp(data + i, "DATA", 4) == 0;
		nends += strncasecmp(data + i, "LAST", 4) == 0;
	}
}

/* So much of what was gathered arrives, less the last bytes. */
static void
client_speak(struct client *c, size_t less)
{
	size_t len = buf_len(&c->say);
	ssize_t n;

	if (c->fd == -1 || len <= less)
		return;
	n = send(c->fd, buf_data(&c->say), len - less,
	    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n <= 0)
		return;
	/* a word may be cut: count all, and the rest again */
	count_said(c, buf_data(&c->say), len);
	buf_consume(&c->say, (size_t)n);
}

static void
happen(void)
{
	bool all_hear = true, again;

	do {
		again = false;
		rig_settle();
		for (size_t i = 0; i < CLIENTS; i++)
			again |= client_hear(&clients[i]);
	} while (again);
	for (size_t i = 0; i < CLIENTS; i++)
		all_hear &= !clients[i].is_deaf;
	assert(!all_hear || upstream_ends() <= nends);
}

/* ---- what happens ------------------------------------------------------- */

static bool
phrase_say(char token)
{
	for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
		if (phrases[i].token == token) {
			buf_append(&client->say, phrases[i].words,
			    strlen(phrases[i].words));
			return true;
		}
	return false;
}

static bool
pools_do(char token)
{
	static const char tokens[] = "123456789";
	const char *at = strchr(tokens, token);

	if (token == '\0' || at == NULL)
		return false;
	pools_plan((enum pool_answer)(at - tokens));
	return true;
}

static bool
upstream_do(char token)
{
	static const char keys[] = "+-~!?_=<>"; /* as in the enumeration */
	const char *at = strchr(keys, token);

	if (token == '\0' || at == NULL)
		return false;
	upstream_plan((enum upstream_answer)(at - keys));
	return true;
}

static void
other_do(char token)
{
	switch (token) {
	case '|': /* what was said arrives */
		break;
	case '&': /* the other client */
		client = client == clients ? clients + 1 : clients;
		break;
	case 'O':
		client_come(client);
		break;
	case 'C':
		client_close(client);
		break;
	case 'W':
		if (client->fd != -1)
			shutdown(client->fd, SHUT_WR);
		break;
	case 'K':
		client->is_deaf = !client->is_deaf;
		break;
	case ',':
		rig_advance(100);
		break;
	case 't':
		rig_advance(1100);
		break;
	case 'u':
		rig_advance(6000);
		break;
	case 'v':
		rig_advance(61000);
		break;
	case 'w':
		rig_advance(301000);
		break;
	case '[':
		net_listen(false);
		break;
	case ']':
		net_listen(true);
		break;
	case '(':
		rig_answer_all(false);
		break;
	case ')':
		rig_answer_all(true);
		break;
	case '%':
		upstream_release();
		break;
	case 'd':
		rig_drain();
		break;
	default:
		break;
	}
}

static size_t
quoted_say(const char *text, size_t len)
{
	const char *end = memchr(text, '"', len);
	size_t n = end == NULL ? len : (size_t)(end - text);

	buf_append(&client->say, text, n);
	return end == NULL ? n : n + 1;
}

static void
play(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char token = text[i];

		if (token == '"') {
			i += quoted_say(text + i + 1, len - i - 1);
			continue;
		}
		if (phrase_say(token))
			continue;
		client_speak(client, token == '/' ? 1 : 0);
		if (!pools_do(token) && !upstream_do(token))
			other_do(token);
		happen();
	}
	client_speak(client, 0);
	happen();
}

/* Every wait has an end: with time, all of them have gone. The last are
 * questions whose asker did not wait. */
static void
pass_time(bool all_answer, bool all_leave)
{
	int quiet_s = 0;

	rig_answer_all(all_answer);
	upstream_release();
	for (size_t i = 0; i < CLIENTS; i++) {
		clients[i].is_deaf = false;
		if (all_leave)
			client_close(&clients[i]);
	}
	happen();
	for (int i = 0; i < STEPS_MAX && quiet_s <= DEADLINE_S; i++) {
		rig_advance(i < 30 || quiet_s > 0 ? 1000 : 61000);
		happen();
		quiet_s = rig_is_quiet(all_answer) ? quiet_s + 1 : 0;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rig_choice choice;

	if (len < 2 || len > INPUT_MAX)
		return 0;
	choice = (struct rig_choice){
		.is_implicit = data[0] & 1,
		.has_policies = data[0] & 2,
		.has_chunking = data[0] & 4,
		.rejects_bare_newlines = data[0] & 8,
		.has_xforward = data[0] & 16,
		.pools_answer = data[1] & 1,
		.upstream_answers = data[1] & 2,
	};
	rig_open(&choice);
	nends = 0;
	for (size_t i = 0; i < CLIENTS; i++)
		clients[i] = (struct client){ .fd = -1 };
	client = clients;
	client_come(client);
	play((const char *)data + 2, len - 2);
	pass_time(data[1] & 4, data[1] & 8);
	for (size_t i = 0; i < CLIENTS; i++)
		client_close(&clients[i]);
	rig_assert_quiet(data[1] & 4);
	rig_close();
	return 0;
}
