/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "connection.h"

#include <openldap.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/dial.h"

/* What ldap_init_fd() calls them; no public header does. */
#define PROTO_TCP 1
#define PROTO_IPC 3

#define AT_ONCE_MS 250
#define SPARE_MS 50
#define FAIR_MS 250 /* a server that had less is not judged */
#define MAX_MESSAGE_BYTES (1 << 20)
#define MAX_MESSAGES 64 /* of an answer: we ask for one entry or two */

struct connection {
	struct connection_settings *settings; /* borrowed */
	LDAP *ld;                                   /* owned */
	int fd;                                     /* ld's */
};

LDAP *
connection_handle(const struct connection *c)
{
	return c->ld;
}

/* ---- time and answers ---------------------------------------------------- */

/* Of this time-out, what the question in hand leaves: we give up a little
 * before the host would have to. */
static int
time_for(const struct connection_settings *s, int timeout_ms)
{
	int64_t left = s->host->time_left_ms(s->host) - SPARE_MS;

	if (left < 0)
		return 0;
	return left < timeout_ms ? (int)left : timeout_ms;
}

static struct timeval
timeval_of(int ms)
{
	return (struct timeval){ .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };
}

static void __attribute__((format(printf, 3, 4)))
answer_set(struct answer *a, int code, const char *format, ...)
{
	va_list ap;

	*a = (struct answer){ .code = code, .policy = PP_noError };
	va_start(ap, format);
	vsnprintf(a->text, sizeof a->text, format, ap);
	va_end(ap);
}

/* What was done, for those who want to see each step. */
#define step(s, ...) \
	((s)->host->log((s)->host, PORTERO_LOG_DEBUG, __VA_ARGS__))

static void
answer_late(struct answer *a, const char *what, int ms)
{
	answer_set(a, LDAP_TIMEOUT, "%s: no answer within %d ms", what, ms);
	a->in_haste = ms < FAIR_MS;
}

/* What libldap noted when a call of its own failed. A code of the server's is
 * that of its farewell (RFC 4511 section 4.4.1) and no answer to anything;
 * libldap has closed the connection then, and would go on with one of its own.
 */
static void
answer_local(struct answer *a, LDAP *ld, const char *what, int64_t started_ms)
{
	int noted = LDAP_LOCAL_ERROR, code;
	char *text = NULL;

	ldap_get_option(ld, LDAP_OPT_RESULT_CODE, &noted);
	ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
	code = LDAP_API_ERROR(noted) ? noted : LDAP_SERVER_DOWN;
	if (noted == LDAP_SUCCESS)
		noted = code;
	answer_set(a, code, "%s: %s%s%s", what, ldap_err2string(noted),
	    text != NULL && *text != '\0' ? ": " : "",
	    text != NULL ? text : "");
	a->at_once = code == LDAP_SERVER_DOWN &&
	    dial_now_ms() - started_ms < AT_ONCE_MS;
	ldap_memfree(text);
}

/* ---- receiving ---------------------------------------------------------- */

static int64_t
until_for(const struct connection *c)
{
	return dial_now_ms() +
	    time_for(c->settings, c->settings->timeout_ms);
}

/* The next message of an answer; its type, or -1 and why there is none. */
static int
receive(struct connection *c, int id, const char *what, int64_t started_ms,
    int64_t until_ms, LDAPMessage **message_r, struct answer *a)
{
	int64_t left = until_ms - dial_now_ms();
	struct timeval timeout = timeval_of(left < 0 ? 0 : (int)left);
	int type;

	*message_r = NULL;
	type = ldap_result(c->ld, id, LDAP_MSG_ONE, &timeout, message_r);
	if (type == 0)
		answer_late(a, what, (int)(until_ms - started_ms));
	else if (type == -1)
		answer_local(a, c->ld, what, started_ms);
	return type == 0 ? -1 : type;
}

/* draft-behera-ldap-password-policy */
static int
policy_of(LDAP *ld, LDAPControl **list)
{
	LDAPPasswordPolicyError policy = PP_noError;
	LDAPControl *found;
	ber_int_t expires, grace;

	found = ldap_control_find(LDAP_CONTROL_PASSWORDPOLICYRESPONSE, list,
	    NULL);
	if (found != NULL)
		ldap_parse_passwordpolicy_control(ld, found, &expires, &grace,
		    &policy);
	return (int)policy;
}

/* What the message that ends an answer says. */
static void
read_result(struct connection *c, LDAPMessage *message, const char *what,
    int64_t started_ms, struct answer *a)
{
	LDAPControl **controls = NULL;
	char *text = NULL;
	int code, rc;

	rc = ldap_parse_result(c->ld, message, &code, NULL, &text, NULL,
	    &controls, 0);
	if (rc != LDAP_SUCCESS) {
		answer_local(a, c->ld, what, started_ms);
	} else {
		answer_set(a, code, "%s: %s%s%s", what, ldap_err2string(code),
		    text != NULL && *text != '\0' ? ": " : "",
		    text != NULL ? text : "");
		a->policy = policy_of(c->ld, controls);
	}
	ldap_controls_free(controls);
	ldap_memfree(text);
}

/* An answer of one message, which must be of this type: libldap looks at its
 * number only. */
static void
receive_result(struct connection *c, int id, int type, const char *what,
    int64_t started_ms, struct answer *a)
{
	LDAPMessage *message;
	int got = receive(c, id, what, started_ms, until_for(c), &message, a);

	if (got == type)
		read_result(c, message, what, started_ms, a);
	else if (got != -1)
		answer_set(a, LDAP_DECODING_ERROR, "%s: not an answer to that",
		    what);
	ldap_msgfree(message);
}

static bool
ask_starttls(struct connection *c, struct answer *a)
{
	int64_t started = dial_now_ms();
	int id;

	if (ldap_start_tls(c->ld, NULL, NULL, &id) != LDAP_SUCCESS)
		answer_local(a, c->ld, "StartTLS", started);
	else
		receive_result(c, id, LDAP_RES_EXTENDED, "StartTLS", started,
		    a);
	return a->code == LDAP_SUCCESS;
}

static bool
start_tls(struct connection *c, const LDAPURLDesc *url, bool is_ldaps,
    int64_t until_ms, struct answer *a)
{
	struct connection_settings *s = c->settings;
	const struct tls_settings settings = { s->verify, s->ca_file,
		s->certificate, s->key };
	char reason[200];

	if (!is_ldaps && !ask_starttls(c, a))
		return false;
	if (s->tls == NULL)
		s->tls = tls_new(&settings, reason, sizeof reason);
	if (s->tls != NULL &&
	    tls_start(s->tls, c->ld, c->fd, url->lud_host, until_ms, reason,
		sizeof reason)) {
		step(s, "TLS stands, the certificate is %s",
		    s->verify ? "valid" : "not looked at");
		return true;
	}
	answer_set(a, LDAP_CONNECT_ERROR, "%s", reason);
	return false;
}

/* ---- open and close ------------------------------------------------------ */

static bool
set_options(LDAP *ld, const struct connection_settings *s)
{
	const int version = LDAP_VERSION3;
	struct timeval answer = timeval_of(s->timeout_ms);
	struct timeval network = timeval_of(s->connect_timeout_ms);
	ber_len_t max = MAX_MESSAGE_BYTES;
	Sockbuf *sb = NULL;

	return ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version) ==
	    LDAP_OPT_SUCCESS &&
	    ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) ==
	    LDAP_OPT_SUCCESS &&
	    /* the host's signals come in the midst of a wait */
	    ldap_set_option(ld, LDAP_OPT_RESTART, LDAP_OPT_ON) ==
	    LDAP_OPT_SUCCESS &&
	    ldap_set_option(ld, LDAP_OPT_TIMEOUT, &answer) ==
	    LDAP_OPT_SUCCESS &&
	    ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &network) ==
	    LDAP_OPT_SUCCESS &&
	    ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) == LDAP_OPT_SUCCESS &&
	    ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &max) == 1;
}

/* By itself libldap reads the length of a message and then the message. Not
 * under TLS: what came before it must not be taken for what came within. */
static bool
read_ahead(LDAP *ld)
{
	Sockbuf *sb = NULL;

	return ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) == LDAP_OPT_SUCCESS &&
	    ber_sockbuf_add_io(sb, &ber_sockbuf_io_readahead,
		LBER_SBIOD_LEVEL_PROVIDER, NULL) == 0;
}

/* A connected descriptor, or -1 and the reason in *a. */
static int
dial_url(const LDAPURLDesc *url, int64_t until_ms, struct answer *a)
{
	char port[8], why[200];
	int fd;

	snprintf(port, sizeof port, "%u", (unsigned)url->lud_port & 0xffff);
	if (strcmp(url->lud_scheme, "ldapi") == 0)
		fd = dial_path(url->lud_host, until_ms, why, sizeof why);
	else
		fd = dial_host(url->lud_host, port, until_ms, why, sizeof why);
	if (fd == -1)
		answer_set(a, LDAP_SERVER_DOWN, "%s", why);
	return fd;
}

/* Makes a handle of a connected descriptor, with TLS if the URL says so. */
static bool
attach(struct connection *c, const LDAPURLDesc *url, const char *uri,
    int64_t until_ms, struct answer *a)
{
	bool is_ldaps = strcmp(url->lud_scheme, "ldaps") == 0;
	bool is_ldapi = strcmp(url->lud_scheme, "ldapi") == 0;
	bool wants_tls = is_ldaps || (c->settings->starttls && !is_ldapi);
	int rc = ldap_init_fd(c->fd, is_ldapi ? PROTO_IPC : PROTO_TCP, uri,
	    &c->ld);

	if (rc != LDAP_SUCCESS) {
		answer_set(a, rc, "%s", ldap_err2string(rc));
		return false;
	}
	if (!set_options(c->ld, c->settings) ||
	    (!wants_tls && !read_ahead(c->ld))) {
		answer_set(a, LDAP_LOCAL_ERROR, "libldap lacks an option");
		return false;
	}
	return !wants_tls || start_tls(c, url, is_ldaps, until_ms, a);
}

struct connection *
connection_open(struct connection_settings *s, const char *uri,
    struct answer *a)
{
	const struct portero_host *host = s->host;
	int ms = time_for(s, s->connect_timeout_ms);
	int64_t until = dial_now_ms() + ms;
	LDAPURLDesc *url = NULL;
	struct connection *c;
	bool attached;

	answer_set(a, LDAP_SUCCESS, " ");
	c = calloc(1, sizeof *c);
	if (c == NULL || ldap_url_parse(uri, &url) != LDAP_URL_SUCCESS) {
		answer_set(a, LDAP_PARAM_ERROR, "not a URI of a server");
		free(c);
		return NULL;
	}
	c->settings = s;
	c->fd = dial_url(url, until, a);
	if (c->fd == -1 || host->guard(host, c->fd) == -1) {
		if (c->fd != -1) {
			answer_set(a, LDAP_LOCAL_ERROR, "too many guarded");
			close(c->fd);
		}
		a->in_haste = ms < FAIR_MS;
		ldap_free_urldesc(url);
		free(c);
		return NULL;
	}
	step(s, "connected to %s", uri);
	attached = attach(c, url, uri, until, a);
	host->unguard(host, c->fd);
	ldap_free_urldesc(url);
	if (!attached)
		connection_close(&c);
	a->in_haste = ms < FAIR_MS;
	return c;
}

void
connection_close(struct connection **c)
{
	if (*c == NULL)
		return;
	/* Saying goodbye must not wait for a peer that does not read: the
	 * socket does not block. */
	if ((*c)->ld != NULL)
		ldap_unbind_ext((*c)->ld, NULL, NULL);
	else
		close((*c)->fd);
	free(*c);
	*c = NULL;
}

/* ---- operations ---------------------------------------------------------- */

/* The time has begun to run. false: there is none, and nothing may be sent. */
static bool
begin(struct connection *c, const char *what, struct answer *a)
{
	const struct portero_host *host = c->settings->host;

	if (time_for(c->settings, c->settings->timeout_ms) == 0)
		answer_late(a, what, 0);
	else if (host->guard(host, c->fd) == -1)
		answer_set(a, LDAP_LOCAL_ERROR, "%s: too many guarded", what);
	else
		return true;
	return false;
}

static void
end(struct connection *c)
{
	c->settings->host->unguard(c->settings->host, c->fd);
}

void
connection_bind(struct connection *c, const char *dn, const char *mechanism,
    struct portero_str password, struct answer *a)
{
	char oid[] = LDAP_CONTROL_PASSWORDPOLICYREQUEST;
	LDAPControl policy = { .ldctl_oid = oid };
	LDAPControl *controls[] = { &policy, NULL };
	/* libldap does not write to it */
	struct berval secret = { password.len,
		(char *)(uintptr_t)(password.ptr == NULL ? "" : password.ptr) };
	int64_t started = dial_now_ms();
	int id;

	if (!begin(c, "bind", a))
		return;
	if (ldap_sasl_bind(c->ld, dn, mechanism, &secret, controls, NULL,
		&id) != LDAP_SUCCESS)
		answer_local(a, c->ld, "bind", started);
	else
		receive_result(c, id, LDAP_RES_BIND, "bind", started, a);
	end(c);
	step(c->settings, "%s (as %s)", a->text, dn == NULL ? mechanism : dn);
}

void
found_clear(struct found *f)
{
	ldap_msgfree(f->entry);
	*f = (struct found){ .entry = NULL };
}

/* One message of a search's answer. true: there are more. */
static bool
take_found(struct connection *c, int type, LDAPMessage *message,
    int64_t started_ms, struct found *f, struct answer *a)
{
	if (type == LDAP_RES_SEARCH_RESULT) {
		read_result(c, message, "search", started_ms, a);
	} else if (type != LDAP_RES_SEARCH_ENTRY &&
	    type != LDAP_RES_SEARCH_REFERENCE &&
	    type != LDAP_RES_INTERMEDIATE) {
		answer_set(a, LDAP_DECODING_ERROR,
		    "search: not an answer to that");
	} else {
		f->nentries += type == LDAP_RES_SEARCH_ENTRY;
		f->nreferences += type == LDAP_RES_SEARCH_REFERENCE;
		if (type == LDAP_RES_SEARCH_ENTRY && f->entry == NULL) {
			f->entry = message;
			message = NULL;
		}
		ldap_msgfree(message);
		return true;
	}
	ldap_msgfree(message);
	return false;
}

/* One message at a time: what libldap gathers for us has no bounds. */
static void
receive_found(struct connection *c, int id, int64_t started_ms,
    struct found *f, struct answer *a)
{
	int64_t until = until_for(c);
	LDAPMessage *message;

	for (int i = 0; i < MAX_MESSAGES; i++) {
		int type = receive(c, id, "search", started_ms, until,
		    &message, a);

		if (type == -1 ||
		    !take_found(c, type, message, started_ms, f, a))
			return;
	}
	answer_set(a, LDAP_SIZELIMIT_EXCEEDED,
	    "search: an answer without end");
	a->is_open = true;
}

void
connection_search(struct connection *c, const struct query *q,
    struct found *f, struct answer *a)
{
	struct timeval limit = timeval_of(c->settings->timeout_ms);
	int64_t started = dial_now_ms();
	int id;

	*f = (struct found){ .entry = NULL };
	if (!begin(c, "search", a))
		return;
	if (ldap_search_ext(c->ld, q->base, q->scope, q->filter, q->attributes,
		0, NULL, NULL, &limit, q->max_entries, &id) != LDAP_SUCCESS)
		answer_local(a, c->ld, "search", started);
	else
		receive_found(c, id, started, f, a);
	end(c);
	step(c->settings, "%s, found %zu (%s below %s)", a->text, f->nentries,
	    q->filter, q->base);
}
