/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The whole contract between Portero and a plugin. A plugin is a shared
 * object that exports one symbol, `portero_plugin`, of the struct below.
 *
 * How a plugin lives
 *   A plugin is opened once by each worker of its pool, after the worker has
 *   given up its rights, and once more by the short-lived check role with
 *   every trial of a configuration. A worker is a single-threaded process
 *   that asks one question at a time, so plain blocking C is right here. If
 *   the plugin crashes or overstays its deadline, only the question in hand
 *   is lost: the client is told to try later and another worker takes over.
 *
 * Rules
 *   - Everything passed in is lent for the call. Keep copies, not pointers.
 *   - A plugin owns its ctx and nothing else.
 *   - Never fork, exit, change signals, or write to descriptors 0 to 2.
 *   - A verdict of zero, a crash and a missed deadline all count as
 *     PORTERO_DEFER: the client is told to try later, never yes.
 *
 * Versions
 *   `abi` must equal PORTERO_ABI. Within one ABI members are only ever
 *   appended; every struct starts with its `size`, so that a host and a
 *   plugin of different age read only what both know.
 *
 * ABI history
 *   1  first release
 */
#ifndef PORTERO_PLUGIN_H
#define PORTERO_PLUGIN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PORTERO_ABI 1u

/* Bytes with a length; not NUL-terminated; may hold any byte. */
struct portero_str {
	const char *ptr;
	size_t len;
};

/*
 * What a call decided. NONE is what a forgotten return value looks like and
 * counts as DEFER. NEXT means "nothing against it, ask the next"; for auth it
 * means "this login is correct". DENY carries a reply. For auth, DENY means
 * wrong name or password, UNKNOWN means "not a person of mine", so that
 * the next auth section is asked, and AWAY is DEFER because nobody could be
 * asked about the person: what the host remembers of an earlier login may help.
 */
enum portero_verdict {
	PORTERO_NONE,
	PORTERO_NEXT,
	PORTERO_DENY,
	PORTERO_DEFER,
	PORTERO_UNKNOWN,
	PORTERO_AWAY
};

/* Where in the dialogue a policy is asked (RFC 5321 section 3.3). */
enum portero_stage {
	PORTERO_LOGIN = 1,   /* twice: before the password is checked, where a
	                        refusal spares that and charges are looked at;
	                        and after it, where the verdict is ignored and
	                        charges are counted at once */
	PORTERO_MAIL = 2,    /* MAIL FROM was given */
	PORTERO_RCPT = 4,    /* once for each RCPT TO */
	PORTERO_DATA = 8,    /* all recipients known; charges are taken here */
	PORTERO_HEADER = 16, /* the header is here, nothing of it passed on; no
	                        charges */
	PORTERO_END = 32,    /* whole message seen, its end not yet passed on;
	                        who counts bytes is asked only if there are
	                        more than its charge at DATA took, and then
	                        charges the difference */
	PORTERO_OUTCOME = 64, /* what became of it, after DATA or a refused
	                        recipient; told once, or not at all if the
	                        workers are busy; the verdict is ignored */
	PORTERO_HELLO = 128  /* EHLO after the login: max_size is offered to
	                        the person as SIZE; the rest of the answer is
	                        ignored */
};

enum portero_level {
	PORTERO_LOG_ERROR,   /* a human must act */
	PORTERO_LOG_WARNING, /* coped, look soon */
	PORTERO_LOG_INFO,
	PORTERO_LOG_DEBUG
};

/*
 * A reply for the client. `code` 4xx or 5xx, `enhanced` as RFC 3463 ("4.7.1")
 * of the same class, `text` printable ASCII. The host clamps what is not
 * legal, adds the session id and the help link, and bounds the length.
 */
struct portero_reply {
	uint32_t size;
	int code;
	char enhanced[12];
	char text[256];
	char reason[32]; /* word for the log and the help link, e.g. "quota" */
};

static inline void
__attribute__((format(printf, 4, 5), unused))
portero_reply_set(struct portero_reply *reply, int code, const char *enhanced,
    const char *format, ...)
{
	va_list ap;

	reply->code = code;
	snprintf(reply->enhanced, sizeof reply->enhanced, "%s", enhanced);
	va_start(ap, format);
	vsnprintf(reply->text, sizeof reply->text, format, ap);
	va_end(ap);
}

/* ---- configuration ---------------------------------------------------- */

enum portero_option_type {
	PORTERO_OPT_STRING = 1,
	PORTERO_OPT_FILE,     /* path of a file that must be readable */
	PORTERO_OPT_SECRET,   /* path of a private file, whose content open() gets;
			       * its name ends in _file, it has no preset */
	PORTERO_OPT_BOOL,     /* yes/no */
	PORTERO_OPT_INT,
	PORTERO_OPT_SIZE,     /* bytes: 25M */
	PORTERO_OPT_DURATION, /* seconds: 1h */
	PORTERO_OPT_ENUM,     /* one of `choices` */
	PORTERO_OPT_LIST,     /* strings: {"a", "b"} */
	PORTERO_OPT_COUNT,    /* a count, or the word unlimited (-1) */
	PORTERO_OPT_SECTION   /* a titled section of `section`, repeatable */
};

/*
 * One option of a plugin's section. An array of these ends with a NULL name.
 * `preset` is the default as it would be written in the file; NULL means the
 * option is absent unless set; with `required` the check complains. The same
 * table makes the parser, the checks and the manual page.
 */
struct portero_option {
	const char *name;
	enum portero_option_type type;
	const char *preset;
	const char *help;
	int64_t min, max; /* range of numbers; both 0: any */
	const char *const *choices; /* PORTERO_OPT_ENUM, NULL-terminated */
	const struct portero_option *section; /* PORTERO_OPT_SECTION */
	bool required;
};

/* The values of one section. Borrowed from the host; valid during open(). */
struct portero_conf;

/* ---- services of the host --------------------------------------------- */

/*
 * A table of fixed-size records in the plugin's shared memory, safe against
 * the death of a worker at any instruction: what one transaction saves is
 * seen whole or not at all. Records live in shards; one lock a shard. All
 * records that must change together are given the same `place`.
 */
struct portero_table;

/* Names a record: any 16 bytes, e.g. a keyed hash (host->hash). */
struct portero_key {
	uint8_t byte[16];
};

struct portero_table_spec {
	uint32_t size;
	uint32_t layout;      /* plugin's own version of its records */
	uint32_t record_size; /* bytes of a record, 1 to 4096 */
	uint32_t nrecords;    /* capacity of the whole table */
	uint32_t nshards;     /* locks; a power of two */
	uint32_t max_saves;   /* records that one transaction may change */
};

/* What the memory handed to open() is. */
enum portero_share_state {
	PORTERO_SHARE_NONE,    /* check role: check the options, touch nothing else */
	PORTERO_SHARE_NEW = 1, /* zeroed */
	PORTERO_SHARE_KEPT,    /* written by an earlier run, nobody uses it now */
	PORTERO_SHARE_IN_USE   /* other workers use it now */
};

struct portero_host {
	uint32_t size;
	uint32_t abi;

	/* Logs one line; the host adds plugin and question. Values from
	 * outside are escaped by the host. Never log a password. */
	void (*log)(const struct portero_host *, enum portero_level,
	    const char *format, ...) __attribute__((format(printf, 3, 4)));

	/* Milliseconds until the question in hand must be answered; 0 when
	 * late; a large number when there is none (during open). */
	int64_t (*time_left_ms)(const struct portero_host *);

	/* Guards a descriptor: when the deadline passes, the host shuts it
	 * down, so that a call blocked on it returns. At most 16 at once.
	 * unguard() before closing it. A call that returns EINTR while there
	 * is time left is to be repeated: the host's signals come then, too. */
	int (*guard)(const struct portero_host *, int fd);
	void (*unguard)(const struct portero_host *, int fd);

	/* Option values. `name` must be in the plugin's table. get_int:
	 * numbers, sizes in bytes, durations in seconds, bool 0/1, enum the
	 * index in choices. get_string: NULL when absent. */
	int64_t (*get_int)(const struct portero_conf *, const char *name);
	const char *(*get_string)(const struct portero_conf *, const char *name);
	size_t (*list_length)(const struct portero_conf *, const char *name);
	const char *(*list_item)(const struct portero_conf *, const char *name,
	    size_t i);
	size_t (*section_count)(const struct portero_conf *, const char *name);
	const struct portero_conf *(*section)(const struct portero_conf *,
	    const char *name, size_t i);
	const char *(*title)(const struct portero_conf *);
	bool (*is_set)(const struct portero_conf *, const char *name);

	/* A keyed 128-bit hash (SipHash-2-4-128) under a key that is stable for the
	 * life of the shared memory. */
	void (*hash)(const struct portero_host *, const void *data, size_t len,
	    struct portero_key *out);

	/* Shared tables. table_size() tells the bytes a table needs;
	 * table_open() sets it up in `memory` according to `state`.
	 * NULL from table_open: reason in err. */
	size_t (*table_size)(const struct portero_table_spec *);
	struct portero_table *(*table_open)(void *memory, size_t bytes,
	    const struct portero_table_spec *, enum portero_share_state state,
	    char err[256]);
	void (*table_close)(struct portero_table *);
	/* Locks the shard of `place`. 0, or -1 when that is impossible. */
	int (*table_lock)(struct portero_table *, const struct portero_key *place);
	/* The record of that key in the locked shard; NULL if absent. */
	const void *(*table_find)(struct portero_table *,
	    const struct portero_key *key);
	/* Plans a new content for a key (created if absent). `expires_at` in
	 * seconds of the wall clock: afterwards its room may be used again.
	 * 0, or -1 when the shard is full of live records: store failure. */
	int (*table_save)(struct portero_table *, const struct portero_key *key,
	    const void *record, int64_t expires_at);
	/* Plans a removal. */
	void (*table_remove)(struct portero_table *,
	    const struct portero_key *key);
	/* Makes all that was planned happen, or none of it; unlocks. */
	void (*table_commit)(struct portero_table *);
	void (*table_abort)(struct portero_table *);
	/* Calls `each` for every live record of the locked shard. */
	void (*table_each)(struct portero_table *,
	    void (*each)(void *arg, const struct portero_key *, const void *record),
	    void *arg);

	/* Wall clock in microseconds since 1970; tests replace it. */
	int64_t (*now_us)(const struct portero_host *);

	void *internal; /* the host's own */

	/* As table_each, but of `places` places of the locked shard from
	 * `from` on. Returns where to go on; 0: that was all. */
	uint32_t (*table_some)(struct portero_table *, uint32_t from,
	    uint32_t places,
	    void (*each)(void *arg, const struct portero_key *, const void *record),
	    void *arg);
};

/* ---- auth -------------------------------------------------------------- */

struct portero_creds {
	uint32_t size;
	struct portero_str login;    /* as typed, UTF-8 without control characters, 1-255 */
	struct portero_str password; /* never empty, no NUL */
	struct portero_str mechanism; /* "PLAIN", "LOGIN" */
	struct portero_str client_address; /* "192.0.2.1" */
	struct portero_str listener;
};

#define PORTERO_UNLIMITED ((int64_t)-1)
#define PORTERO_MAX_LIMITS 16

/* A maximum that the person's own entry gives. window_s 0: the limit's own. */
struct portero_limit {
	char name[32];
	int64_t max;
	uint32_t window_s;
};

/*
 * Who logged in. The plugin fills it; strings are NUL-terminated; the host
 * hands it zeroed. `id` is the canonical id: the name all counting and
 * logging uses, from the entry and never as typed. Encoded it must not
 * exceed 4 KiB; the host refuses what does not fit.
 */
struct portero_identity {
	uint32_t size;
	char id[256];
	char class_name[64];
	char language[16];
	int64_t max_size; /* bytes a message may have; 0: not given */
	uint32_t nlimits;
	struct portero_limit limits[PORTERO_MAX_LIMITS];
	/* Own addresses, each NUL-terminated, one behind the other; with
	 * addresses_complete false, owns() is asked for others. */
	bool addresses_complete;
	uint32_t addresses_len;
	char addresses[2048];
};

struct portero_auth {
	uint32_t size;
	/* Checks a login. NEXT: correct, identity filled. DENY: wrong
	 * password. UNKNOWN: no such person here. DEFER: cannot tell now.
	 * AWAY: the same, because nobody is there who could be asked.
	 * `reply` is for the log only, except code 525 with DENY: the person
	 * is suspended and knew the password. */
	enum portero_verdict (*login)(void *ctx, const struct portero_creds *,
	    struct portero_identity *, struct portero_reply *);
	/* Does the address belong to the person? NEXT yes, DENY no, DEFER
	 * cannot tell. May be NULL: unknown. */
	enum portero_verdict (*owns)(void *ctx, const struct portero_identity *,
	    struct portero_str address);
	/* The host may remember what login() says, as the section's options
	 * cache_time and cache_away_time allow. For what is asked over a
	 * network; not where a change must count at once, or where the answer
	 * depends on more than login and password. */
	bool may_cache;
};

/* ---- store ------------------------------------------------------------- */

enum portero_unit {
	PORTERO_MESSAGES,
	PORTERO_RECIPIENTS,
	PORTERO_BYTES,
	PORTERO_NUNITS
};

/* Whose counter it is. Taken in this order; each scope is atomic in itself.
 * At LOGIN, where nobody is known yet, PERSON is who the typed name says, and
 * only PERSON, HOST and NETWORK are possible. */
enum portero_scope {
	PORTERO_PERSON,
	PORTERO_CLASS,
	PORTERO_DOMAIN,
	PORTERO_HOST,
	PORTERO_NETWORK, /* only at LOGIN: the client's, as in the facts */
	PORTERO_NSCOPES
};

/* How a limit refuses: AUTO is 450 4.7.1 when it passes within the hour or
 * the class queues mail itself, else 550 5.7.1. */
enum portero_reply_kind {
	PORTERO_REPLY_AUTO,
	PORTERO_REPLY_TEMPORARY,
	PORTERO_REPLY_PERMANENT
};

#define PORTERO_MAX_CHARGES 16
#define PORTERO_MAX_WINDOW_S (31 * 86400)

/*
 * What a policy wants to count. `limit` names the counter within the scope;
 * [A-Za-z0-9_.-], 1 to 31. The window slides; never more than `max` in any
 * window (design: at least 60 sub-buckets, the oldest counted whole).
 */
struct portero_charge {
	uint32_t size;
	enum portero_scope scope;
	enum portero_unit unit;
	char limit[32];
	int64_t amount;    /* 0 or more; at MAIL and RCPT only looked at */
	int64_t max;       /* PORTERO_UNLIMITED: counted, never refused */
	uint32_t window_s; /* 1 to PORTERO_MAX_WINDOW_S */
	bool monitor;      /* counted, never refuses */
	enum portero_reply_kind reply;

	/* filled by the store */
	bool fits;
	int64_t used;   /* before this amount */
	int64_t fits_at; /* seconds since 1970 when the amount will fit; 0: never */
};

enum portero_op_kind {
	PORTERO_OP_PEEK = 1, /* fill used, fits, fits_at; change nothing */
	PORTERO_OP_TAKE,     /* all charges or none, under txid */
	PORTERO_OP_SETTLE,   /* end of a take: keep `actual`, give back the rest */
	PORTERO_OP_REPORT,   /* calls `row` for every counter of `key` */
	PORTERO_OP_RESET,    /* forgets every counter of `key`; reservations stay */
	PORTERO_OP_CHARGE,   /* a TAKE that was let through `age_us` ago without the
	                        store: never refused, counted at that time */
	PORTERO_OP_WALK      /* calls `row` for some of the counters of the scope */
};

enum portero_op_result {
	PORTERO_OP_NONE,    /* store failure; a TAKE may have been done or not */
	PORTERO_OP_DONE,
	PORTERO_OP_REFUSED, /* TAKE: an enforced charge does not fit; nothing was taken */
	PORTERO_OP_SETTLED, /* TAKE: a settle came first; nothing was taken */
	PORTERO_OP_FAILED   /* TAKE: store failure, and certainly nothing was taken */
};

/* One counter, for `porteroctl limits show`. */
struct portero_row {
	uint32_t size;
	char limit[32];
	enum portero_unit unit;
	int64_t max; /* as last taken with */
	int64_t used;
	uint32_t window_s;
	int64_t resets_at; /* when all of it will have passed */
	uint32_t open;     /* reservations not yet settled that touch it */
	struct portero_str key; /* WALK: whose it is, as far as the store knows */
};

/*
 * One operation. All charges of an op have the op's scope. A TAKE is known by
 * txid and sequence: repeating one charges nothing and answers DONE, `used`
 * still being what is used without it; sequence n + 1 adds its amounts to the
 * same reservation. A SETTLE of an unknown txid
 * leaves a tombstone, on which a late TAKE does nothing (SETTLED). A SETTLE
 * twice is one. `actual` is per unit what the message really used; less than
 * taken goes back to the bucket that was charged, if it still exists; more is
 * recorded and never refused.
 *
 * A CHARGE is a TAKE in all but two: it always fits, and it is counted at the
 * time `age_us` before now. What would have left its window since is not
 * counted at all. A TAKE of the same txid and sequence that did reach the
 * store makes it do nothing, so it may follow one whose fate is unknown.
 *
 * A WALK is one step through all counters of the scope, short enough (20 ms)
 * not to keep others waiting. `cursor` is 0 at first; the store sets where to
 * go on, 0 at the end. A counter that changes meanwhile may come twice.
 */
struct portero_op {
	uint32_t size;
	enum portero_op_kind kind;
	enum portero_scope scope;
	struct portero_str key; /* canonical id, class, domain or host name */
	uint8_t txid[16];
	uint32_t sequence; /* TAKE: 0 first */
	uint32_t lifetime_s; /* TAKE, SETTLE: how long reservation or tombstone must live */
	struct portero_charge *charges;
	size_t ncharges;
	int64_t actual[PORTERO_NUNITS]; /* SETTLE */
	void (*row)(void *arg, const struct portero_row *); /* REPORT */
	void *row_arg;
	enum portero_op_result result;
	int64_t age_us;  /* CHARGE: 0 or more */
	uint64_t cursor; /* WALK */
};

struct portero_store {
	uint32_t size;
	/* Applies the operations in order. -1: the store is away (the results
	 * tell which were done), so that asking it again is of no use for a
	 * while. 0: it is there; an operation whose result is NONE or FAILED
	 * has failed by itself. */
	int (*apply)(void *ctx, struct portero_op *ops, size_t n);
	/* It is another process or machine, which can be away while this one
	 * is not. The host then keeps on_store_failure, asks a store that is
	 * away only now and then, and logs itself that it is. */
	bool remote;
	/* Why the last apply() was -1, in some words; holds until the next
	 * call. NULL: it has no words for it. */
	const char *(*trouble)(void *ctx);
	/* Calls `row` for each line of `porteroctl store status`. The name
	 * "warning" stands for something to look at. -1: the store is away.
	 * NULL: nothing to tell. */
	int (*status)(void *ctx,
	    void (*row)(void *arg, const char *name, const char *value),
	    void *arg);
};

/* ---- policy ------------------------------------------------------------ */

enum portero_owned {
	PORTERO_OWNED_UNKNOWN, /* not asked, or the directory could not tell */
	PORTERO_OWNED_YES,
	PORTERO_OWNED_NO
};

enum portero_outcome {
	PORTERO_PENDING,
	PORTERO_ACCEPTED, /* the upstream's 250 */
	PORTERO_REFUSED,  /* refused by the upstream or by us after DATA */
	PORTERO_LOST,     /* lost before the final dot was tried: not sent */
	PORTERO_OUTCOME_UNKNOWN /* lost after it: may have been sent */
};

/* Where a login is. */
enum portero_attempt {
	PORTERO_ATTEMPT_NONE,   /* another stage */
	PORTERO_ATTEMPT_BEGINS, /* the password has not been looked at */
	PORTERO_ATTEMPT_RIGHT,
	PORTERO_ATTEMPT_WRONG,
	PORTERO_ATTEMPT_NOBODY /* there is no such person */
};

/* Who is named in From or Sender. Elements of an array: never grows. */
struct portero_mailbox {
	struct portero_str address; /* "ana@example.org", as it was written */
	enum portero_owned owned;   /* set if `needs` has OWNED */
	bool is_sender;             /* of Sender, else of From */
};

/* What is known when a policy is asked. */
struct portero_facts {
	uint32_t size;
	enum portero_stage stage;
	const struct portero_identity *identity; /* LOGIN: NULL */
	struct portero_str session_id;
	struct portero_str listener;
	struct portero_str client_address;
	struct portero_str reverse_path; /* without <>; empty: null reverse-path */
	int64_t declared_size;           /* SIZE=, -1: none */
	const struct portero_str *recipients;
	size_t nrecipients;
	size_t recipient;     /* RCPT: the one in question */
	int64_t message_size; /* END, OUTCOME: bytes, else -1 */
	enum portero_owned sender_owned; /* set if `needs` has OWNED */
	enum portero_outcome outcome;    /* OUTCOME */
	size_t naccepted;                /* OUTCOME: recipients the upstream took */
	/* LOGIN */
	enum portero_attempt attempt;
	struct portero_str login; /* as `spell` of the first policy that has
	                             one writes it; else as typed */
	uint16_t password_tag; /* WRONG, NOBODY: equal for equal passwords of
	                          one login, and says nothing else about them;
	                          changes with every start */
	struct portero_str client_network; /* /24 or /48: "192.0.2.0/24" */
	bool client_exempt;    /* in exempt_networks: not to be counted together */
	bool store_is_remote;  /* others share it; else own memory will do */
	/* OUTCOME */
	size_t nrefused;       /* recipients the upstream refused */
	bool abandoned;        /* after a refused recipient the client gave it
	                          up, or vanished, before DATA: perhaps it only
	                          wanted to know which addresses there are */
	/* HEADER */
	const struct portero_mailbox *mailboxes;
	size_t nmailboxes;
	size_t nfrom, nsender, nreceived; /* fields of that name */
	/* In a few words why readers of mail might not agree about the rest,
	 * e.g. "a line that is no field"; empty: nothing is wrong with it. */
	struct portero_str header_flaw;
};

struct portero_answer {
	uint32_t size;
	struct portero_reply reply; /* for DENY and DEFER; preset by the host */
	int64_t max_size; /* bytes the message may have; 0: no opinion */
	struct portero_charge charges[PORTERO_MAX_CHARGES];
	size_t ncharges;
	/* HEADER: an address that the host puts into a Sender field, which the
	 * header must not have yet; printable ASCII; empty: none. */
	char add_sender[256];
};

/* Facts that cost a question to the directory. */
enum portero_need { PORTERO_NEED_OWNED = 1 };

struct portero_policy {
	uint32_t size;
	uint32_t stages; /* PORTERO_MAIL | ...: when to ask */
	uint32_t needs;  /* PORTERO_NEED_... at MAIL and HEADER */
	enum portero_verdict (*judge)(void *ctx, const struct portero_facts *,
	    struct portero_answer *);
	/* Bit (1 << scope) for each scope its charges use with this
	 * configuration. NULL: only PERSON, if any. */
	uint32_t (*scopes)(const void *ctx);
	/* The stages that this configuration really needs, of `stages`: each
	 * one spared saves a question. NULL: all of them. */
	uint32_t (*stages_used)(const void *ctx);
	/* With LOGIN: writes into `to` the one spelling under which attempts
	 * for this typed name count, at most `room` bytes, without NUL; returns
	 * their number. NULL: this plugin overlooks nothing. */
	size_t (*spell)(void *ctx, struct portero_str typed, char *to,
	    size_t room);
	/* With LOGIN: an operator lets a person off. Forget what was held
	 * against that name, which is spelled as in the facts. -1: it cannot
	 * be forgotten now. NULL: nothing is ever held against a name. */
	int (*forget)(void *ctx, struct portero_str login);
};

/* ---- the plugin -------------------------------------------------------- */

struct portero_plugin {
	uint32_t abi;  /* PORTERO_ABI */
	uint32_t size; /* sizeof(struct portero_plugin) */
	const char *name;
	const char *version;
	const struct portero_option *options; /* may be NULL */
	/* Bytes of shared memory wanted with these options; NULL: none. */
	size_t (*share_size)(const struct portero_host *,
	    const struct portero_conf *);
	/* 0 and *ctx set, or -1 with a sentence in err. `share` is NULL when
	 * nothing was asked for (state is then NEW), and in the check role,
	 * where a plugin checks its options and touches nothing else (state is
	 * NONE). */
	int (*open)(const struct portero_host *, const struct portero_conf *,
	    void *share, size_t share_bytes, enum portero_share_state state,
	    void **ctx, char err[256]);
	void (*close)(void *ctx);
	/* Exactly one of these is set. */
	const struct portero_auth *auth;
	const struct portero_store *store;
	const struct portero_policy *policy;
};

/* The symbol that a plugin exports. */
extern const struct portero_plugin portero_plugin;

#ifdef __cplusplus
}
#endif

#endif
