/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The configuration: one table of options feeds the parser, the checks, the
 * manual page and `porteroctl config help`.
 *
 * Reading has two halves. config_read() (check role, as root) joins the file
 * with what it includes and conf.d/, finds what libconfuse would miss
 * (unbalanced braces, duplicates, unset variables, wrong lines after
 * comments) and writes one resolved text, which the master seals in a memfd.
 * config_load() parses that text in every role. Positions survive: the
 * resolved text carries a table of its lines' origins.
 */
#ifndef CONFIG_CONF_H
#define CONFIG_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <portero/plugin.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/network.h"
#include "smtp/dots.h"

struct config_position {
	const char *file; /* owned by the config */
	int line;
};

/* Messages for the operator, "file:line: error: text", sorted by position. */
struct config_messages;
struct config_messages *config_messages_new(void);
void config_messages_free(struct config_messages **m);
void config_error(struct config_messages *m, struct config_position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void config_warning(struct config_messages *m, struct config_position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t config_errors(const struct config_messages *m);
size_t config_warnings(const struct config_messages *m);
/* Appends all, one a line, then "1 error, 2 warnings" if there are any. */
void config_messages_print(const struct config_messages *m, struct buf *out);

enum config_listen_tls { CONFIG_TLS_IMPLICIT = 1, CONFIG_TLS_STARTTLS };
enum config_upstream_tls { CONFIG_UPSTREAM_NONE = 1, CONFIG_UPSTREAM_OPPORTUNISTIC, CONFIG_UPSTREAM_STARTTLS, CONFIG_UPSTREAM_IMPLICIT };
enum config_xclient { CONFIG_XCLIENT_NONE = 1, CONFIG_XCLIENT_LOGIN, CONFIG_XCLIENT_ADDRESS };
enum config_tls_profile { CONFIG_PROFILE_INTERMEDIATE = 1, CONFIG_PROFILE_MODERN };
enum config_log_to { CONFIG_LOG_STDERR, CONFIG_LOG_FILE, CONFIG_LOG_SYSLOG };
enum config_module_kind { CONFIG_AUTH = 1, CONFIG_STORE, CONFIG_POLICY };
enum config_mode { CONFIG_ENFORCE = 1, CONFIG_MONITOR };

struct config_tls {
	char *title; /* "" for `tls { }` */
	struct config_position at;
	char **certificate, **key; /* NULL-terminated, same length: pairs, e.g. ECDSA and RSA */
	enum config_tls_profile profile;
};

struct config_listen {
	char *title;
	struct config_position at;
	char **address; /* NULL-terminated; default {"*"}: any, IPv6 and IPv4 */
	int port;
	enum config_listen_tls tls;
	bool proxy; /* a PROXY header comes first */
	struct network_list proxy_from;
	int64_t max_size; /* bytes a message may have here */
	uint32_t hidden; /* SMTP_EXT_*: not offered here */
	int backlog;
};

/* Both may be PORTERO_UNLIMITED. */
struct config_crowding {
	int64_t connections; /* open at a time */
	int64_t rate;        /* new ones in a minute */
};

struct config_module {
	enum config_module_kind kind;
	char *title;  /* "" for the store */
	char *plugin; /* "policy_rate" */
	struct config_position at;
	enum config_mode mode; /* policy only */
	int64_t cache_time_s, cache_away_time_s; /* auth only */
	struct portero_conf *options; /* bound values, NULL until bound */
	struct module_file *files; /* private; owned */
	size_t nfiles;
};

struct config_host {
	char *name; /* or an address literal without brackets */
	int port;
};

/* A group of hosts that share what arrives. */
struct config_upstream {
	char *title; /* "" for `upstream { }` */
	struct config_position at;
	struct config_host *hosts;
	size_t nhosts;
	size_t first; /* index of hosts[0] among the hosts of all groups */
	char **classes; /* NULL-terminated; empty: everybody without a group of his class */
	int priority;   /* of the groups of a class the lowest comes first */
	enum config_upstream_tls tls;
	bool verify;
	char *ca_file; /* NULL: the system's */
	char *tls_name; /* name to verify; NULL: the host's */
	char **fingerprints; /* NULL-terminated; SHA-256 as 64 hexadecimal digits; empty: names and authorities count */
	char *certificate, *key; /* ours, in PEM; both NULL: none */
	bool xforward; /* said where it is offered */
	enum config_xclient xclient;
	char *user, *password_file; /* of AUTH; both NULL: none */
	int64_t connect_timeout_ms; /* connect, greeting, TLS, EHLO of one address: default 5 s */
	int64_t reply_timeout_ms;   /* MAIL, RCPT, DATA: 60 s */
	int64_t dot_timeout_ms;     /* after the final dot: 600 s */
	int64_t resolve_every_s;    /* 60 */
	int idle_connections;       /* to each host, kept for reuse in each session worker */
};

struct config {
	char *hostname;
	int session_workers; /* 0: cores (resolved by config_load) */
	int auth_workers, policy_workers;
	char *plugin_dir, *control_socket, *state_dir, *chroot_dir, *pid_file;
	char *user, *user_auth, *user_policy, *group_control;
	char *help_url; /* NULL: none; link is help_url "/" reason */
	bool add_missing_headers;
	char *sub_address_delimiters; /* "" for none */
	enum smtp_bare_newline bare_newline;
	int max_recipients; /* in one message; 452 4.5.3 */
	int max_connections; /* of one session worker */
	struct config_crowding host, network; /* what clients of one place may */
	struct network_list exempt; /* they are not counted */
	int64_t max_transactions; /* of one person; PORTERO_UNLIMITED */
	int64_t login_timeout_ms; /* accept to successful login, whatever the client does: 60 s */
	int64_t idle_timeout_ms;  /* next command: 300 s */
	int64_t max_session_ms;   /* then 421 between transactions: 1 h */
	int64_t data_timeout_ms;  /* no progress in a body: 180 s */
	int64_t auth_deadline_ms; /* 5 s */
	int64_t policy_deadline_ms; /* 1 s */
	int64_t drain_timeout_ms; /* reload: 620 s */
	int64_t stop_timeout_ms;  /* SIGTERM: 30 s */
	enum config_log_to log_to;
	char *log_file;
	int log_level; /* enum log_level */
	struct config_tls *tls;
	size_t ntls;
	struct config_listen *listens;
	size_t nlistens;
	struct config_module *modules; /* in the order of the file */
	size_t nmodules;
	struct config_upstream *upstreams; /* in the order of the file */
	size_t nupstreams;
	size_t nhosts;          /* of all upstreams */
	int64_t dot_timeout_ms; /* the longest of all upstreams */
	/* Private: the bound values all fields above come from, and the names
	 * of the files that positions point to. */
	struct portero_conf *root;
	struct origins *origins;
};

/*
 * Finds the option table of a plugin while the text is parsed. Returns NULL
 * with *ignore set: this role does not look at that module's options; NULL
 * without: err says why the plugin cannot be used.
 */
struct config_resolver {
	const struct portero_option *(*options)(void *arg, enum config_module_kind kind,
	    const char *title, const char *plugin, bool *ignore, struct error *err);
	void *arg;
};

/* First half: the text to fd (written from offset 0, truncated). -1: not even
 * readable; syntax errors are in m and the caller stops if there are any. */
int config_read(const char *path, int fd, struct config_messages *m);
/* Second half. resolver NULL: module options are ignored. Always returns a
 * config unless the text could not be parsed; all semantic errors are in m. */
struct config *config_load(int fd, const struct config_resolver *resolver,
    struct config_messages *m);
void config_free(struct config **c);

/* What only root can see: certificates and keys (readable, fitting, not
 * expired, the key not open to others), files that options name, users. For
 * the check role, before it drops its rights. */
void config_check_files(const struct config *c, struct config_messages *m);
/* Then, with the plugins' options in c, the secrets among the files that were
 * looked at in `seen`, which comes from the same text. */
void config_check_secrets(const struct config *seen, const struct config *c,
    struct config_messages *m);
/* For a reload: warns of each option that differs and that the running
 * server keeps as it is until a restart. Returns how many. */
size_t config_needs_restart(const struct config *old, const struct config *new,
    struct config_messages *m);

/* Listeners flattened: each address of each listen section, in order. This
 * order is the order of the plan and of the session workers' descriptors. */
struct config_socket {
	const struct config_listen *listen; /* borrowed */
	struct sockaddr_storage address;
	socklen_t address_len;
};
/* Returns the number; fills at most max. "*" is [::] (dual stack) where IPv6 exists, else 0.0.0.0. */
size_t config_sockets(const struct config *c, struct config_socket *to, size_t max);

/* The configuration as text: with all = false only what differs from the
 * defaults; each line followed by "# file:line" or "# default". Secrets' contents never. */
void config_print(const struct config *c, bool all, struct buf *out);
/* The values of one section with its defaults, without where they come from:
 * the same for sections that mean the same. */
void config_print_section(const struct portero_conf *c, struct buf *out);
/* Help on one option ("upstream.reply_timeout", "max_recipients") or a section, or all (name NULL). -1: no such option. */
int config_help(const char *name, struct buf *out);
/* The same for the options of one plugin: "limit.per", or all (name NULL). */
int config_help_plugin(const char *plugin, const struct portero_option *options,
    const char *name, struct buf *out);
/* The options as mdoc, for portero.conf(5). */
void config_manual(struct buf *out);
/* The same for the options of one plugin. */
void config_manual_plugin(const struct portero_option *options, struct buf *out);

/* The accessors of struct portero_host; a name that the table lacks ends the process (a plugin bug the check role finds). */
int64_t config_get_int(const struct portero_conf *c, const char *name);
const char *config_get_string(const struct portero_conf *c, const char *name);
size_t config_list_length(const struct portero_conf *c, const char *name);
const char *config_list_item(const struct portero_conf *c, const char *name, size_t i);
size_t config_section_count(const struct portero_conf *c, const char *name);
const struct portero_conf *config_section(const struct portero_conf *c, const char *name, size_t i);
const char *config_title(const struct portero_conf *c);
bool config_is_set(const struct portero_conf *c, const char *name);
/* For PORTERO_OPT_SECRET: the host read the file before it dropped its rights and puts its content in place of the path. */
void config_set_secret(struct portero_conf *c, const char *name, struct str content);
/* Paths of `*_file` options of the modules of a kind, found without option tables, for reading before rights are dropped. */
void config_each_file(const struct config *c, enum config_module_kind kind,
    void (*each)(void *arg, const char *path), void *arg);

#endif
