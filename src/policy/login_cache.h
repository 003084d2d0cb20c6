/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What directories said of logins a short while ago, in memory that all auth
 * workers share and that no file ever holds.
 *
 * Of a password there is an HMAC under a key of this start of the server, with
 * a salt for each record; half of what the key is made of lives in another
 * segment. One record for each section and typed name: a newer success takes
 * the place of an older one, and who gives another password is no business of
 * the cache.
 */
#ifndef POLICY_LOGIN_CACHE_H
#define POLICY_LOGIN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ipc/question.h"

#define LOGIN_CACHE_KEY_LEN 32

/* Master, once: the descriptor of the memory. */
int login_cache_create(struct error *err);

struct login_cache;
struct login_cache_section;

/* start_key: of struct shared. NULL: reason in err. */
struct login_cache *login_cache_open(int fd,
    const uint8_t start_key[LOGIN_CACHE_KEY_LEN], struct error *err);
void login_cache_free(struct login_cache **c);

/* What is to be known of a section. */
struct login_cache_setup {
	const char *title;
	struct str settings; /* any change of it makes all records strangers */
	int64_t fresh_ms;    /* how long an answer is as good as a new one */
	int64_t away_ms;     /* and how much longer while the directory is away */
};

/* Owned by the cache. At most MAX_MODULES. */
struct login_cache_section *login_cache_add(struct login_cache *c,
    const struct login_cache_setup *setup);
/* All are added: what was kept under other settings is wiped. */
void login_cache_ready(struct login_cache *c);

/* Each flush moves it: what was asked before a flush is not kept after it. */
uint64_t login_cache_epoch(const struct login_cache *c);

enum login_memory {
	LOGIN_NOT_KNOWN,  /* ask */
	LOGIN_RIGHT,      /* it was right */
	LOGIN_RIGHT_AWAY, /* it was right, longer ago; the directory is away */
	LOGIN_WRONG       /* this very password was wrong a moment ago */
};

struct login_recall {
	uint8_t identity[IDENTITY_MAX]; /* RIGHT, RIGHT_AWAY: the blob */
	size_t identity_len;
	char cause[32]; /* WRONG */
};

enum login_memory login_cache_find(struct login_cache *c,
    const struct login_cache_section *s, struct str login,
    struct str password, struct login_recall *r);
/* What cannot be kept is asked for again: there are no errors. */
void login_cache_keep_right(struct login_cache *c,
    const struct login_cache_section *s, struct str login,
    struct str password, uint64_t epoch, struct str identity);
/* It is wrong now, whatever it was. */
void login_cache_keep_wrong(struct login_cache *c,
    const struct login_cache_section *s, struct str login,
    struct str password, uint64_t epoch, struct str cause);
/* password NULL: whatever it is, the person is gone. */
void login_cache_forget(struct login_cache *c,
    const struct login_cache_section *s, struct str login,
    const struct str *password);

/* The directory was away, or has answered. For a few seconds after the former
 * what is known of right logins is used without asking first. */
void login_cache_set_away(struct login_cache *c,
    const struct login_cache_section *s, bool away);

/* Wipes what is known of a person by canonical id, or of all (empty). How many
 * logins; -1: the memory is locked by somebody who does not go on. */
int login_cache_flush(struct login_cache *c, struct str person);

#endif
