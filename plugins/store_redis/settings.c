/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "settings.h"

#include <stdlib.h>
#include <string.h>

#define REDIS_PORT "6379"
#define SENTINEL_PORT "26379"
#define PREFIX_MAX 64
#define PREFIX_CHARACTERS                                                      \
	"abcdefghijklmnopqrstuvwxyz"                                           \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-"

/* clang-format off */
const struct portero_option settings_options[] = {
	{ "uri", PORTERO_OPT_LIST,
	  .help = "Servers: redis://host, redis://host:port, the same with "
	    "rediss:// for TLS, or unix:/path/of/socket. Of several, which "
	    "replicate each other, the primary is looked for.",
	  .required = true },
	{ "sentinel", PORTERO_OPT_STRING,
	  .help = "Name of the primary as its Sentinels know it. The servers "
	    "in uri are the Sentinels then (port 26379), which are asked for "
	    "the primary with each new connection." },
	{ "user", PORTERO_OPT_STRING,
	  .help = "User to log in as. Without: the user \"default\"." },
	{ "password_file", PORTERO_OPT_SECRET,
	  .help = "File with its password. Without there is no login." },
	{ "sentinel_password_file", PORTERO_OPT_SECRET,
	  .help = "File with the password that the Sentinels want." },
	{ "ca_file", PORTERO_OPT_FILE,
	  .help = "Authorities that may sign the certificates of rediss:// "
	    "servers. Without: those of the system." },
	{ "certificate", PORTERO_OPT_FILE,
	  .help = "Our certificate, for servers that want one." },
	{ "key", PORTERO_OPT_FILE,
	  .help = "Its key, readable by user_policy." },
	{ "database", PORTERO_OPT_INT, "0",
	  .help = "Number of the database.",
	  .min = 0, .max = 65535 },
	{ "prefix", PORTERO_OPT_STRING, "portero",
	  .help = "What the name of each key begins with. Porteros with the "
	    "same prefix, server and database have the same limits." },
	{ "connect_timeout_ms", PORTERO_OPT_INT, "100",
	  .help = "Milliseconds for a connection and its login, Sentinels "
	    "included.",
	  .min = 10, .max = 10000 },
	{ "command_timeout_ms", PORTERO_OPT_INT, "150",
	  .help = "Milliseconds for an answer. Nobody waits longer for the "
	    "store than both together.",
	  .min = 10, .max = 10000 },
	{ 0 },
};
/* clang-format on */

struct reader {
	const struct portero_host *host;
	const struct portero_conf *conf;
	char *err; /* 256 */
	bool failed;
};

static void __attribute__((format(printf, 2, 3)))
fail(struct reader *r, const char *format, ...)
{
	va_list ap;

	if (r->failed)
		return; /* the first reason is told */
	r->failed = true;
	va_start(ap, format);
	vsnprintf(r->err, 256, format, ap);
	va_end(ap);
}

/* NULL: not set, or empty. */
static char *
string(struct reader *r, const char *name)
{
	const char *text = r->host->get_string(r->conf, name);
	char *copy;

	if (text == NULL || *text == '\0')
		return NULL;
	copy = strdup(text);
	if (copy == NULL)
		fail(r, "out of memory");
	return copy;
}

static int
number(struct reader *r, const char *name)
{
	return (int)r->host->get_int(r->conf, name);
}

/* ---- addresses ----------------------------------------------------------- */

void
address_clear(struct address *a)
{
	free(a->text);
	free(a->host);
	free(a->port);
	free(a->path);
	*a = (struct address){ 0 };
}

static bool
is_port(const char *text)
{
	long port = 0;

	for (const char *c = text; *c != '\0'; c++) {
		if (*c < '0' || *c > '9' || port > 65535)
			return false;
		port = 10 * port + (*c - '0');
	}
	return port > 0 && port <= 65535;
}

/* host, host:port, [address]:port. What is wrong with it, or NULL. */
static const char *
read_host(struct address *a, const char *text, const char *port)
{
	bool is_ipv6 = *text == '[';
	size_t len = is_ipv6 ? strcspn(++text, "]") : strcspn(text, ":");
	const char *rest = text + len;

	if (strpbrk(text, "@/?# ") != NULL)
		return "it is redis://host:port; user, password_file and "
		       "database have options of their own";
	if (len == 0 || len > 255 || (is_ipv6 && *rest++ != ']'))
		return "it names no host";
	if (*rest == ':')
		port = rest + 1;
	else if (*rest != '\0')
		return "it names no host";
	if (!is_port(port))
		return "it names no port";
	a->host = strndup(text, len);
	a->port = strdup(port);
	return a->host == NULL || a->port == NULL ? "out of memory" : NULL;
}

/* What is wrong with it, or NULL. */
static const char *
read_path(struct address *a, const char *text)
{
	if (strncmp(text, "///", 3) == 0)
		text += 2; /* the other way to write it */
	if (*text != '/' || strlen(text) > 100)
		return "it names no path of at most 100 characters";
	a->path = strdup(text);
	return a->path == NULL ? "out of memory" : NULL;
}

bool
address_read(struct address *a, const char *text, const char *port,
    char err[256])
{
	const char *fault;

	*a = (struct address){ .text = strdup(text) };
	if (strncmp(text, "redis://", 8) == 0)
		fault = read_host(a, text + 8, port);
	else if (strncmp(text, "unix:", 5) == 0)
		fault = read_path(a, text + 5);
	else if (strncmp(text, "rediss://", 9) == 0)
		fault = read_host(a, text + 9, port);
	else
		fault = "it does not begin with redis://, rediss:// or unix:";
	a->is_tls = strncmp(text, "rediss:", 7) == 0;
	if (a->text == NULL)
		fault = "out of memory";
	if (fault != NULL)
		snprintf(err, 256, "uri \"%.100s\": %s", text, fault);
	return fault == NULL;
}

/* ---- all ----------------------------------------------------------------- */

static void
read_servers(struct reader *r, struct settings *s)
{
	size_t n = r->host->list_length(r->conf, "uri");

	if (n == 0)
		fail(r, "uri names no server");
	if (n > MAX_SERVERS)
		fail(r, "uri names more than %d servers", MAX_SERVERS);
	for (; !r->failed && s->nservers < n; s->nservers++)
		if (!address_read(&s->servers[s->nservers],
			r->host->list_item(r->conf, "uri", s->nservers),
			s->sentinel != NULL ? SENTINEL_PORT : REDIS_PORT,
			r->err))
			r->failed = true;
}

static void
read_tls(struct reader *r, struct settings *s)
{
	bool needs_tls = false;

	s->tls_files = (struct tls_settings){
		.ca_file = string(r, "ca_file"),
		.certificate = string(r, "certificate"),
		.key = string(r, "key"),
	};
	for (size_t i = 0; i < s->nservers; i++)
		needs_tls = needs_tls || s->servers[i].is_tls;
	if ((s->tls_files.certificate == NULL) != (s->tls_files.key == NULL))
		fail(r, "certificate and key: both or none");
	if (!needs_tls &&
	    (s->tls_files.ca_file != NULL || s->tls_files.key != NULL))
		fail(r, "ca_file, certificate and key are for rediss://");
	if (!needs_tls || r->failed)
		return;
	s->tls = tls_new(&s->tls_files, r->err);
	r->failed = s->tls == NULL;
}

struct settings *
settings_new(const struct portero_host *host, const struct portero_conf *conf,
    char err[256])
{
	struct reader r = { .host = host, .conf = conf, .err = err };
	struct settings *s = calloc(1, sizeof *s);

	if (s == NULL) {
		fail(&r, "out of memory");
		return NULL;
	}
	s->sentinel = string(&r, "sentinel");
	read_servers(&r, s);
	read_tls(&r, s);
	s->login.user = string(&r, "user");
	s->login.password = string(&r, "password_file");
	s->sentinel_login.password = string(&r, "sentinel_password_file");
	s->prefix = string(&r, "prefix");
	s->database = number(&r, "database");
	s->connect_timeout_ms = number(&r, "connect_timeout_ms");
	s->command_timeout_ms = number(&r, "command_timeout_ms");
	if (s->login.user != NULL && s->login.password == NULL)
		fail(&r, "user has no password_file");
	if (s->sentinel == NULL && s->sentinel_login.password != NULL)
		fail(&r, "sentinel_password_file without sentinel");
	if (s->prefix == NULL || strlen(s->prefix) > PREFIX_MAX ||
	    s->prefix[strspn(s->prefix, PREFIX_CHARACTERS)] != '\0')
		fail(
		    &r, "prefix: 1 to %d letters, digits and .:_-", PREFIX_MAX);
	if (r.failed)
		settings_free(&s);
	return s;
}

static void
login_clear(struct login *l)
{
	if (l->password != NULL)
		explicit_bzero(l->password, strlen(l->password));
	free(l->password);
	free(l->user);
}

void
settings_free(struct settings **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < MAX_SERVERS; i++)
		address_clear(&(*s)->servers[i]);
	login_clear(&(*s)->login);
	login_clear(&(*s)->sentinel_login);
	tls_free(&(*s)->tls);
	free((*s)->tls_files.ca_file);
	free((*s)->tls_files.certificate);
	free((*s)->tls_files.key);
	free((*s)->sentinel);
	free((*s)->prefix);
	free(*s);
	*s = NULL;
}
