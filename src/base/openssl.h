/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What OpenSSL has to say.
 */
#ifndef BASE_OPENSSL_H
#define BASE_OPENSSL_H

/* The first error of the queue, which is the cause of the others. Valid until
 * the next call. */
const char *openssl_error(void);

#endif
