/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The end of a message, and what may be in it. Owns nothing.
 *
 * Two speeds. clean_run() looks at 64 bytes at a time and finds how much can
 * be handed on untouched: in clean data every LF follows a CR, every CR is
 * followed by an LF, there is no NUL, and no dot at the start of a line could
 * be the end. At the first byte that needs thought step() takes over, a plain
 * state machine, one byte at a time.
 *
 * What must hold: the output, the size, the fault and the place of the end
 * depend on the bytes alone, never on how they were cut into blocks.
 */
#include "smtp/dots.h"

#include <string.h>

/* How 64 bytes are looked at: with AVX2 where the processor has it, else with
 * SSE2, else by words. Tests try them all. */
#if defined(__x86_64__) && !defined(SMTP_DOTS_ONLY_WORDS)
#define WITH_SSE2
#endif
#if defined(WITH_SSE2) && !defined(SMTP_DOTS_ONLY_SSE2)
#define WITH_AVX2
#endif

#ifdef WITH_SSE2
#include <immintrin.h>
#else
#include <endian.h>
#endif

/* The last bytes seen. The dot of DOT and the CR of CR are kept back. */
enum state {
	LINE,   /* CRLF, or nothing yet */
	DOT,    /* LINE and a dot */
	DOT_CR, /* LINE, a dot and CR */
	TEXT,   /* something in a line */
	CR,     /* LINE or TEXT, and CR */
	SOFT    /* a bare LF: a line starts here for the next hop only */
};

struct output {
	smtp_dots_emit *emit;
	void *arg;
};

/* Which of 64 bytes are what: one bit a byte, the first byte lowest. */
struct masks {
	uint64_t cr, lf, dot, nul;
};

typedef struct masks masks_of(const char *block);

void
smtp_dots_start(struct smtp_dots *d, enum smtp_bare_newline newline)
{
	*d = (struct smtp_dots){ .state = LINE, .newline = (uint8_t)newline };
}

/*
 * How many bytes at the start of data are clean; a line starts there if
 * at_line. *stuffed_r gets the number of dots that the next hop will take
 * away. The run ends before the byte that needs thought, before a CR whose
 * LF is not there yet, and before a dot that stands alone or is the last byte.
 */
static inline __attribute__((always_inline)) size_t
clean_run(const char *data, size_t len, bool at_line, size_t *stuffed_r,
    masks_of *masks)
{
	uint64_t after_cr = 0, after_lf = at_line;
	size_t at, end = len, stuffed = 0;

	for (at = 0; at < end; at += 64) {
		struct masks m;
		uint64_t bad, dots;

		if (len - at >= 64) {
			m = masks(data + at);
		} else {
			char tail[64];

			memset(tail, 'x', sizeof tail);
			memcpy(tail, data + at, len - at);
			m = masks(tail);
		}
		bad = m.nul | (m.lf ^ (m.cr << 1 | after_cr));
		if (bad != 0) {
			unsigned i = (unsigned)__builtin_ctzll(bad);

			/* a CR before it has no LF and is bad itself */
			end = at + i;
			end -= i == 0 ? after_cr : m.cr >> (i - 1) & 1;
		}
		dots = m.dot & (m.lf << 1 | after_lf);
		for (; dots != 0; dots &= dots - 1) {
			size_t dot = at + (unsigned)__builtin_ctzll(dots);

			if (dot >= end)
				break;
			if (dot + 1 == len || data[dot + 1] == '\r' ||
			    data[dot + 1] == '\n') {
				end = dot;
				break;
			}
			stuffed++;
		}
		after_cr = m.cr >> 63;
		after_lf = m.lf >> 63;
	}
	if (end > 0 && end == len && data[end - 1] == '\r')
		end--;
	*stuffed_r = stuffed;
	return end;
}

#ifndef WITH_SSE2

/* One bit for each byte of w that is c. */
static inline uint64_t
bits8(uint64_t w, char c)
{
	const uint64_t low7 = UINT64_C(0x7f7f7f7f7f7f7f7f);
	uint64_t x = w ^ (UINT64_C(0x0101010101010101) * (unsigned char)c);
	uint64_t zero = ~(((x & low7) + low7) | x | low7);

	return (zero >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

static inline struct masks
masks_words(const char *block)
{
	struct masks m = { 0 };

	for (unsigned i = 0; i < 64; i += 8) {
		uint64_t w;

		memcpy(&w, block + i, sizeof w);
		w = le64toh(w);
		m.cr |= bits8(w, '\r') << i;
		m.lf |= bits8(w, '\n') << i;
		m.dot |= bits8(w, '.') << i;
		m.nul |= bits8(w, '\0') << i;
	}
	return m;
}

static size_t
find_clean(const char *data, size_t len, bool at_line, size_t *stuffed_r)
{
	return clean_run(data, len, at_line, stuffed_r, masks_words);
}

#else /* WITH_SSE2 */

static inline __m128i
load16(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline uint64_t
bits16(__m128i v, char c)
{
	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(c)));
}

static inline struct masks
masks_sse2(const char *block)
{
	struct masks m = { 0 };

	for (unsigned i = 0; i < 64; i += 16) {
		__m128i v = load16(block + i);

		m.cr |= bits16(v, '\r') << i;
		m.lf |= bits16(v, '\n') << i;
		m.dot |= bits16(v, '.') << i;
		m.nul |= bits16(v, '\0') << i;
	}
	return m;
}

#ifdef WITH_AVX2

static inline __attribute__((target("avx2"))) __m256i
load32(const char *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline __attribute__((target("avx2"))) uint64_t
bits32(__m256i v, char c)
{
	return (uint32_t)_mm256_movemask_epi8(
	    _mm256_cmpeq_epi8(v, _mm256_set1_epi8(c)));
}

static inline __attribute__((target("avx2"))) struct masks
masks_avx2(const char *block)
{
	__m256i a = load32(block), b = load32(block + 32);

	return (struct masks){
		.cr = bits32(a, '\r') | bits32(b, '\r') << 32,
		.lf = bits32(a, '\n') | bits32(b, '\n') << 32,
		.dot = bits32(a, '.') | bits32(b, '.') << 32,
		.nul = bits32(a, '\0') | bits32(b, '\0') << 32,
	};
}

static __attribute__((target("avx2"))) size_t
clean_run_avx2(const char *data, size_t len, bool at_line, size_t *stuffed_r)
{
	return clean_run(data, len, at_line, stuffed_r, masks_avx2);
}

#endif

static size_t
find_clean(const char *data, size_t len, bool at_line, size_t *stuffed_r)
{
#ifdef WITH_AVX2
	if (__builtin_cpu_supports("avx2"))
		return clean_run_avx2(data, len, at_line, stuffed_r);
#endif
	return clean_run(data, len, at_line, stuffed_r, masks_sse2);
}

#endif

/* Hands len bytes on; they count as size. */
static void
put(struct smtp_dots *d, const struct output *out, const char *data, size_t len,
    size_t size)
{
	if (d->fault != SMTP_DOTS_CLEAN || len == 0)
		return;
	d->size += size;
	out->emit(out->arg, data, len);
}

static void
set_fault(struct smtp_dots *d, enum smtp_dots_fault fault)
{
	if (d->fault == SMTP_DOTS_CLEAN)
		d->fault = (uint8_t)fault;
}

/*
 * An LF that no CR precedes, or none that counts. A line ends here for us and
 * for the next hop, but not for the rule that finds the end of the message:
 * a dot that stands alone before it is text and must be stuffed.
 */
static void
bare_lf(struct smtp_dots *d, const struct output *out)
{
	if (d->newline == SMTP_NEWLINE_REJECT)
		set_fault(d, SMTP_DOTS_BARE_LF);
	else if (d->state == DOT)
		put(d, out, "..\r\n", 4, 3);
	else
		put(d, out, "\r\n", 2, 2);
	d->state = SOFT;
}

/* The slow path: one byte, any byte. true: it was the last of CRLF.CRLF. */
static bool
step(struct smtp_dots *d, const struct output *out, char c)
{
	d->size += d->fault != SMTP_DOTS_CLEAN;
	if (c == '\n') {
		if (d->state == DOT_CR)
			return true;
		if (d->state != CR) {
			bare_lf(d, out);
			return false;
		}
		put(d, out, "\r\n", 2, 2);
		d->state = LINE;
		return false;
	}
	if (d->state == CR || d->state == DOT_CR) {
		set_fault(d, SMTP_DOTS_BARE_CR);
		d->state = TEXT;
	}
	if (c == '\r') {
		d->state = d->state == DOT ? DOT_CR : CR;
		return false;
	}
	if (c == '.' && d->state == LINE) {
		d->state = DOT;
		return false;
	}
	if (d->state == DOT)
		put(d, out, ".", 1, 0);
	if (c == '\0')
		set_fault(d, SMTP_DOTS_NUL);
	if (c == '.' && d->state == SOFT)
		put(d, out, "..", 2, 1);
	else
		put(d, out, &c, 1, 1);
	d->state = TEXT;
	return false;
}

/* The fast path: hands on what is clean; the number of bytes. */
static size_t
skip_clean(
    struct smtp_dots *d, const struct output *out, const char *data, size_t len)
{
	size_t stuffed, n;

	n = find_clean(data, len, d->state == LINE, &stuffed);
	put(d, out, data, n, n - stuffed);
	if (n > 0)
		d->state = data[n - 1] == '\n' ? LINE : TEXT;
	return n;
}

/* After a fault only the end matters: in a line, look for the next CR. */
static size_t
skip_swallowed(struct smtp_dots *d, const char *data, size_t len)
{
	const char *cr;
	size_t n;

	if (d->state != TEXT)
		return 0;
	cr = memchr(data, '\r', len);
	n = cr == NULL ? len : (size_t)(cr - data);
	d->size += n;
	return n;
}

enum smtp_dots_result
smtp_dots_feed(struct smtp_dots *d, const char *data, size_t len, size_t *used,
    smtp_dots_emit *emit, void *arg)
{
	const struct output out = { emit, arg };
	size_t at = 0;

	while (at < len) {
		if (d->state == SOFT && data[at] != '.')
			d->state = TEXT;
		if (d->fault != SMTP_DOTS_CLEAN)
			at += skip_swallowed(d, data + at, len - at);
		else if (d->state == TEXT || d->state == LINE)
			at += skip_clean(d, &out, data + at, len - at);
		if (at < len && step(d, &out, data[at++])) {
			*used = at;
			return SMTP_DOTS_END;
		}
	}
	*used = at;
	return SMTP_DOTS_MORE;
}
