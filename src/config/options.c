/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The table of options. An option is added only if two sensible sites would
 * set it differently. Nearly everything takes effect with a reload, because
 * a reload starts new workers; the exceptions are named at the end.
 */
#include <string.h>

#include "config/options.h"
#include "config/value.h"
#include "ipc/role.h"

#define LIST_END                                                               \
	{                                                                      \
		.name = NULL                                                   \
	}
#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const char *const log_targets[] = { "stderr", "file", "syslog", NULL };
static const char *const log_levels[] = { "error", "warning", "info", "debug",
	NULL };
static const char *const profiles[] = { "intermediate", "modern", NULL };
static const char *const listen_tls[] = { "implicit", "starttls", NULL };
static const char *const listen_proxy[] = { "none", "required", NULL };
static const char *const upstream_tls[] = { "none", "opportunistic",
	"starttls", "implicit", NULL };
static const char *const xclients[] = { "none", "login", "address", NULL };
static const char *const modes[] = { "enforce", "monitor", NULL };
static const char *const failures[] = { "local", "defer", "allow", NULL };
static const char *const newlines[] = { "normalize", "reject", NULL };

/* clang-format off */
static const struct portero_option options_log[] = {
	{ "to", PORTERO_OPT_ENUM, "stderr",
	  .help = "Where log lines go.",
	  .choices = log_targets },
	{ "file", PORTERO_OPT_STRING, NULL,
	  .help = "The file, with to = file. It is opened by the master and "
	    "opened again by `porteroctl log reopen`." },
	{ "level", PORTERO_OPT_ENUM, "info",
	  .help = "The least important lines that are written.",
	  .choices = log_levels },
	LIST_END
};

static const struct portero_option options_tls[] = {
	{ "certificate", PORTERO_OPT_LIST, NULL,
	  .help = "Files with a certificate and its chain, in PEM. Several "
	    "for one name may differ in their kind of key (ECDSA and RSA).",
	  .required = true },
	{ "key", PORTERO_OPT_LIST, NULL,
	  .help = "The files of the private keys, in the order of the "
	    "certificates. Others must not be able to read them.",
	  .required = true },
	{ "profile", PORTERO_OPT_ENUM, "intermediate",
	  .help = "Mozilla's profile of versions and ciphers: intermediate is "
	    "TLS 1.2 and 1.3, modern is TLS 1.3 only.",
	  .choices = profiles },
	LIST_END
};

static const struct portero_option options_listen[] = {
	{ "address", PORTERO_OPT_LIST, "{\"*\"}",
	  .help = "Where to listen; * is every address, IPv6 and IPv4." },
	{ "port", PORTERO_OPT_INT, NULL,
	  .help = "The port: 465 for implicit TLS, 587 for STARTTLS (RFC "
	    "8314).",
	  .min = 1, .max = 65535, .required = true },
	{ "tls", PORTERO_OPT_ENUM, NULL,
	  .help = "implicit: TLS from the first byte. starttls: the client "
	    "asks for it; nobody can log in before.",
	  .choices = listen_tls, .required = true },
	{ "proxy", PORTERO_OPT_ENUM, "none",
	  .help = "required: every connection begins with a header of the "
	    "PROXY protocol, version 1 or 2, by which a load balancer names "
	    "the client; before TLS. Whatever begins otherwise is closed.",
	  .choices = listen_proxy },
	{ "proxy_from", PORTERO_OPT_LIST, NULL,
	  .help = "With proxy = required: addresses and networks "
	    "(\"192.0.2.0/24\") of the load balancers. Connections from "
	    "elsewhere are closed, since who may send such a header can make "
	    "himself anybody." },
	{ "max_size", PORTERO_OPT_SIZE, "50M",
	  .help = "The largest message taken here, of anybody. The upstream's "
	    "own limit and policies may be lower.",
	  .min = 1024, .max = (int64_t)1 << 40 },
	{ "hide", PORTERO_OPT_LIST, NULL,
	  .help = "Extensions that are not offered here, for clients that fail "
	    "with them: PIPELINING, SIZE, 8BITMIME, ENHANCEDSTATUSCODES, "
	    "CHUNKING, SMTPUTF8, DSN, REQUIRETLS or LIMITS." },
	{ "backlog", PORTERO_OPT_INT, "1024",
	  .help = "Connections that may wait to be accepted, for each session "
	    "worker.",
	  .min = 1, .max = 65535 },
	LIST_END
};

/* what every section of a module has beside its plugin's own options */
#define PLUGIN \
	{ "plugin", PORTERO_OPT_STRING, NULL, \
	  .help = "The name of the plugin: a module in plugin_dir, without " \
	    "its suffix. The plugin's own options stand beside this one.", \
	  .required = true },

static const struct portero_option options_store[] = {
	PLUGIN
	{ "on_store_failure", PORTERO_OPT_ENUM, "local",
	  .help = "What becomes of limits while a store of another host or "
	    "process is away. local: this host goes on with its part of what "
	    "was left of each limit, and charges it when the store is back. "
	    "defer: mail is told to come later. allow: mail is let through, "
	    "and charged when the store is back.",
	  .choices = failures },
	{ "hosts", PORTERO_OPT_INT, "1",
	  .help = "How many hosts share the store: with local each has this "
	    "part of what is left. With too low a number hosts let through "
	    "more together.",
	  .min = 1, .max = 64 },
	{ "local_entries", PORTERO_OPT_INT, "65536",
	  .help = "How many counters of a store of another host or process "
	    "are known here should it be away: the limits of a person times "
	    "the persons of a window. For each four of them there is room for "
	    "one message that is sent meanwhile. They take about 1.2 KiB each. "
	    "With another number what is known and noted begins anew: change "
	    "it while the store is up.",
	  .min = 1024, .max = 1 << 24 },
	{ "warn_at", PORTERO_OPT_LIST, "{\"80\", \"100\"}",
	  .help = "Percentages of a maximum at which the log gets a line, once "
	    "for each person, limit and window. Empty: none." },
	LIST_END
};
static const struct portero_option options_auth[] = {
	PLUGIN
	{ "cache_time", PORTERO_OPT_DURATION, "1m",
	  .help = "How long a correct login is remembered and the directory "
	    "not asked; so long an old password may work after it was "
	    "changed. A wrong one is asked for again after 5 seconds. 0s: it "
	    "is asked each time. Only for plugins that ask over a network, "
	    "such as auth_ldap.",
	  .min = 0, .max = 86400 },
	{ "cache_away_time", PORTERO_OPT_DURATION, "10m",
	  .help = "How much longer it is used while the directory is away, "
	    "also with cache_time = 0s. 0s: not at all.",
	  .min = 0, .max = 7 * 86400 },
	LIST_END
};
static const struct portero_option options_policy[] = {
	PLUGIN
	{ "mode", PORTERO_OPT_ENUM, "enforce",
	  .help = "monitor: the policy is asked, its refusals are logged and "
	    "counted, and the mail goes on.",
	  .choices = modes },
	LIST_END
};

static const struct portero_option options_upstream[] = {
	{ "hosts", PORTERO_OPT_LIST, NULL,
	  .help = "The servers that take the mail: \"name:port\", "
	    "\"192.0.2.1:25\" or \"[2001:db8::1]:25\"; port 25 if none is "
	    "given. A message goes to the one with the fewest in transit.",
	  .required = true },
	{ "priority", PORTERO_OPT_INT, "1",
	  .help = "Which section is tried first, as the preference of an MX "
	    "record: the next higher number takes over while no host of the "
	    "lower ones can be used.",
	  .min = 1, .max = 100 },
	{ "classes", PORTERO_OPT_LIST, NULL,
	  .help = "The classes of people whose mail goes here, and nowhere "
	    "else. Sections without classes serve all others." },
	{ "tls", PORTERO_OPT_ENUM, "starttls",
	  .help = "How the way to the upstream is protected. starttls and "
	    "implicit never fall back to none. opportunistic takes STARTTLS "
	    "where it is offered and verifies nothing: it keeps out who only "
	    "listens.",
	  .choices = upstream_tls },
	{ "verify", PORTERO_OPT_BOOL, "yes",
	  .help = "Whether the upstream's certificate must be valid for its "
	    "name." },
	{ "ca_file", PORTERO_OPT_FILE, NULL,
	  .help = "Certificates of the authorities to trust, in PEM, instead "
	    "of the system's." },
	{ "tls_name", PORTERO_OPT_STRING, NULL,
	  .help = "The name to expect in the upstream's certificate, if it is "
	    "not the one in hosts." },
	{ "fingerprints", PORTERO_OPT_LIST, NULL,
	  .help = "SHA-256 fingerprints, in hexadecimal, of the upstream's "
	    "certificate or of its public key. If given, one of them must "
	    "fit, and names, dates and authorities no longer count." },
	{ "certificate", PORTERO_OPT_FILE, NULL,
	  .help = "Our own certificate and its chain, in PEM, for an upstream "
	    "that asks for one." },
	{ "key", PORTERO_OPT_FILE, NULL,
	  .help = "The private key of that certificate. Others must not be "
	    "able to read it." },
	{ "user", PORTERO_OPT_STRING, NULL,
	  .help = "The account to log in with (AUTH PLAIN or LOGIN), over TLS "
	    "that is verified." },
	{ "password_file", PORTERO_OPT_SECRET, NULL,
	  .help = "A file with the password of that account. Others must not "
	    "be able to read it." },
	{ "xforward", PORTERO_OPT_BOOL, "yes",
	  .help = "Whether an upstream that offers XFORWARD is told of each "
	    "message's client (address, EHLO name) and session id, for its "
	    "log." },
	{ "xclient", PORTERO_OPT_ENUM, "login",
	  .help = "What an upstream that offers XCLIENT is made to believe. "
	    "login: that the person has logged in there. address: also that "
	    "the client itself is connected; then no connection is used for "
	    "two messages.",
	  .choices = xclients },
	{ "connect_timeout", VALUE_MILLISECONDS, "5s",
	  .help = "Connection, greeting, TLS, EHLO and AUTH of one address.",
	  .min = 100, .max = HOUR },
	{ "reply_timeout", VALUE_MILLISECONDS, "60s",
	  .help = "The upstream's answer to MAIL, RCPT and DATA.",
	  .min = 100, .max = HOUR },
	{ "dot_timeout", VALUE_MILLISECONDS, "600s",
	  .help = "The upstream's answer to the end of a message. Whoever "
	    "gives up earlier does not know whether the mail was sent.",
	  .min = 100, .max = HOUR },
	{ "resolve_every", PORTERO_OPT_DURATION, "60s",
	  .help = "How often the name is looked up again.",
	  .min = 1, .max = 86400 },
	{ "idle_connections", PORTERO_OPT_INT, "256",
	  .help = "Idle connections to each host that each session worker "
	    "keeps for the next message.",
	  .min = 0, .max = 1024 },
	LIST_END
};

const struct portero_option options_root[] = {
	{ "hostname", PORTERO_OPT_STRING, NULL,
	  .help = "The name of this server: in greetings, in EHLO to the "
	    "upstream and in Received lines. The default certificate should "
	    "cover it.",
	  .required = true },
	{ "session_workers", PORTERO_OPT_INT, "0",
	  .help = "Processes that serve clients; 0: one for each processor.",
	  .min = 0, .max = MAX_SESSION_WORKERS },
	{ "auth_workers", PORTERO_OPT_INT, "8",
	  .help = "Processes that check logins, one at a time each. With a "
	    "logins a second that take t seconds each, a*t + 2*sqrt(a*t) + 3 "
	    "are enough.",
	  .min = 1, .max = MAX_POOL_WORKERS },
	{ "policy_workers", PORTERO_OPT_INT, "4",
	  .help = "Processes that ask policies and the store: more let the "
	    "others answer while one waits. With store_memory one does the "
	    "work, and the others step in when it is held up.",
	  .min = 1, .max = MAX_POOL_WORKERS },
	{ "plugin_dir", PORTERO_OPT_STRING, "\"" PORTERO_PLUGIN_DIR "\"",
	  .help = "The folder of the plugins. It and they must belong to root "
	    "(or the user that runs the server), and nobody else may write "
	    "there." },
	{ "control_socket", PORTERO_OPT_STRING,
	  "\"" PORTERO_RUN_DIR "/control\"",
	  .help = "The socket that porteroctl(8) talks to." },
	{ "state_dir", PORTERO_OPT_STRING, "\"" PORTERO_STATE_DIR "\"",
	  .help = "Where the memory of plugins is kept over a restart, such "
	    "as the counters of store_memory. Empty: in memory only." },
	{ "chroot_dir", PORTERO_OPT_STRING, "\"" PORTERO_RUN_DIR "/empty\"",
	  .help = "An empty folder that session workers are locked into." },
	{ "pid_file", PORTERO_OPT_STRING, "\"\"",
	  .help = "File that gets the master's process id. Empty: none." },
	{ "user", PORTERO_OPT_STRING, "portero",
	  .help = "The user of session workers." },
	{ "user_auth", PORTERO_OPT_STRING, "portero-auth",
	  .help = "The user of auth workers: reads what is needed to check "
	    "passwords." },
	{ "user_policy", PORTERO_OPT_STRING, "portero-policy",
	  .help = "The user of policy workers and of the control process." },
	{ "group_control", PORTERO_OPT_STRING, "portero-admin",
	  .help = "The group that may use the control socket. If there is no "
	    "such group, it is that of user_policy." },
	{ "help_url", PORTERO_OPT_STRING, NULL,
	  .help = "Start of a link for people whose mail was refused; \"/\" "
	    "and a fixed word for the reason are added." },
	{ "bare_newline", PORTERO_OPT_ENUM, "normalize",
	  .help = "What becomes of line feeds without carriage return in a "
	    "message: made whole, or the message is refused.",
	  .choices = newlines },
	{ "add_missing_headers", PORTERO_OPT_BOOL, "yes",
	  .help = "Whether a message without Date or Message-ID gets them. "
	    "Nothing else is touched, and nothing in one that is signed by "
	    "DKIM." },
	{ "sub_address_delimiters", PORTERO_OPT_STRING, "\"+\"",
	  .help = "Characters that begin a tag: who owns ana@example.org owns "
	    "ana+shop@example.org, too. Empty: nobody does." },
	{ "max_recipients", PORTERO_OPT_INT, "1000",
	  .help = "Recipients in one message; further ones get 452. More than "
	    "about 1,000 long addresses do not fit a question to the policies: "
	    "such a message is answered 451.",
	  .min = 1, .max = 2000 },
	{ "max_connections", PORTERO_OPT_INT, "10000",
	  .help = "Connections that one session worker serves at a time. Who "
	    "comes then takes the place of one that has not logged in within "
	    "a sixth of login_timeout; if there is none he is told to try later.",
	  .min = 1, .max = 1000000 },
	{ "max_host_connections", PORTERO_OPT_COUNT, "50",
	  .help = "Connections that one IPv4 address, or one /64 of IPv6, may "
	    "have open at a time, over all workers.",
	  .min = 1, .max = 1000000 },
	{ "max_network_connections", PORTERO_OPT_COUNT, "200",
	  .help = "The same of one /24 of IPv4, or one /48 of IPv6.",
	  .min = 1, .max = 1000000 },
	{ "max_host_rate", PORTERO_OPT_COUNT, "60",
	  .help = "New connections in a minute from one IPv4 address, or one "
	    "/64 of IPv6. An office behind one address needs more than its "
	    "people send in a minute, or a place in exempt_networks.",
	  .min = 1, .max = 60000 },
	{ "max_network_rate", PORTERO_OPT_COUNT, "240",
	  .help = "The same of one /24 of IPv4, or one /48 of IPv6.",
	  .min = 1, .max = 60000 },
	{ "exempt_networks", PORTERO_OPT_LIST, "{\"127.0.0.0/8\", \"::1\"}",
	  .help = "Addresses and networks whose clients are not counted "
	    "together: your webmail, monitoring, a campus behind one address. "
	    "The limits on connections and network_failures of policy_guard "
	    "do not hold for them." },
	{ "max_transactions", PORTERO_OPT_COUNT, "20",
	  .help = "Messages that one person may be sending at the same moment, "
	    "over all connections and workers. The next MAIL is told to try "
	    "later.",
	  .min = 1, .max = 100000 },
	{ "login_timeout", VALUE_MILLISECONDS, "60s",
	  .help = "From connection to successful login, whatever the client "
	    "does.",
	  .min = 100, .max = HOUR },
	{ "idle_timeout", VALUE_MILLISECONDS, "300s",
	  .help = "Time for the next whole command.",
	  .min = 100, .max = HOUR },
	{ "max_session", VALUE_MILLISECONDS, "1h",
	  .help = "How long a client may go on without a new login. Then it "
	    "hears 421 when its message is done, connects again, and is "
	    "checked anew: so long at most somebody who was locked or deleted "
	    "can still send.",
	  .min = SECOND, .max = DAY },
	{ "data_timeout", VALUE_MILLISECONDS, "180s",
	  .help = "Time for the next 4 KiB of a message that arrives, or for "
	    "its end.",
	  .min = 100, .max = HOUR },
	{ "auth_timeout", VALUE_MILLISECONDS, "5s",
	  .help = "Time for a login to be checked; then the client is told to "
	    "try later.",
	  .min = 10, .max = 10 * MINUTE },
	{ "policy_timeout", VALUE_MILLISECONDS, "1s",
	  .help = "Time for all policies of a question; then the client is "
	    "told to try later.",
	  .min = 10, .max = 10 * MINUTE },
	{ "drain_timeout", VALUE_MILLISECONDS, "620s",
	  .help = "After a reload, time for the old workers to finish their "
	    "messages. It should be longer than upstream.dot_timeout.",
	  .min = 100, .max = DAY },
	{ "stop_timeout", VALUE_MILLISECONDS, "30s",
	  .help = "The same when the server stops.",
	  .min = 100, .max = HOUR },
	{ "log", PORTERO_OPT_SECTION, NULL,
	  .help = "The log.",
	  .section = options_log },
	{ "tls", PORTERO_OPT_SECTION, NULL,
	  .help = "Certificates for clients. The first section is the "
	    "default; sections with titles serve further names, taken from "
	    "their certificates.",
	  .section = options_tls, .required = true },
	{ "listen", PORTERO_OPT_SECTION, NULL,
	  .help = "Where clients come in.",
	  .section = options_listen, .required = true },
	{ "auth", PORTERO_OPT_SECTION, NULL,
	  .help = "Who may log in. Several are asked in the order of the file "
	    "until one knows the person.",
	  .section = options_auth, .required = true },
	{ "store", PORTERO_OPT_SECTION, NULL,
	  .help = "Where the counters of limits live.",
	  .section = options_store },
	{ "policy", PORTERO_OPT_SECTION, NULL,
	  .help = "The rules. All are asked, in the order of the file; the "
	    "first refusal counts.",
	  .section = options_policy },
	{ "upstream", PORTERO_OPT_SECTION, NULL,
	  .help = "The servers that take the mail. Several sections divide "
	    "it by class of person, or stand in for one another by priority.",
	  .section = options_upstream, .required = true },
	LIST_END
};
/* clang-format on */

bool
options_is_module(const struct portero_option *section)
{
	return section->section == options_store ||
	       section->section == options_auth ||
	       section->section == options_policy;
}

enum title_rule
options_title(const struct portero_option *section)
{
	if (section->section == options_tls ||
	    section->section == options_upstream)
		return TITLE_MAY;
	if (section->section == options_log ||
	    (options_is_module(section) && strcmp(section->name, "store") == 0))
		return TITLE_NONE;
	return TITLE_MUST;
}

bool
options_needs_restart(const struct portero_option *o)
{
	/* the master opens these once, before it gives its rights up */
	static const char *const names[] = { "control_socket", "group_control",
		"pid_file", "state_dir" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], o->name) == 0)
			return true;
	return false;
}
