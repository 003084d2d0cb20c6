/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replays fuzz inputs as a plain test: the files and folders named in argv,
 * or without arguments tests/fuzz/corpus/NAME for a program fuzz_NAME. Not
 * linked into --enable-fuzz builds, where libFuzzer brings its own main().
 * Fails when there was nothing to replay.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned replayed;

static void
replay_file(const char *path, size_t len)
{
	/* Exactly as long as the input, so that a read past it is seen. */
	uint8_t *data = malloc(len > 0 ? len : 1);
	FILE *f = fopen(path, "rb");

	if (data == NULL || f == NULL || fread(data, 1, len, f) != len) {
		perror(path);
		exit(1);
	}
	fclose(f);
	LLVMFuzzerTestOneInput(data, len);
	free(data);
	replayed++;
}

static void
replay(const char *path)
{
	struct dirent **names;
	struct stat st;
	char inside[4096];
	int n;

	if (stat(path, &st) == -1) {
		perror(path);
		exit(1);
	}
	if (!S_ISDIR(st.st_mode)) {
		replay_file(path, (size_t)st.st_size);
		return;
	}
	n = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(inside, sizeof inside, "%s/%s", path,
		    names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			replay(inside);
		free(names[i]);
	}
	if (n != -1)
		free(names);
}

static void
replay_corpus_of(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash == NULL ? program : slash + 1;
	const char *source = getenv("srcdir");
	char path[4096];

	if (strncmp(name, "lt-", 3) == 0)
		name += 3;
	if (strncmp(name, "fuzz_", 5) == 0)
		name += 5;
	snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s",
	    source == NULL ? "." : source, name);
	replay(path);
}

int
main(int argc, char *argv[])
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc < 2)
		replay_corpus_of(argv[0]);
	printf("%u inputs replayed\n", replayed);
	return replayed > 0 ? 0 : 1;
}
