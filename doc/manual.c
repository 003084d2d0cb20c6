/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Makes portero.conf(5): copies a template and puts the tables of options,
 * as the parser uses them, in the places of two lines:
 *
 *   manual TEMPLATE [PLUGIN.so ...] >PAGE
 *
 *   @OPTIONS@   the core's options
 *   @PLUGINS@   those of the plugins named in argv
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"

static int
write_plugin(const char *path, struct buf *out)
{
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct portero_plugin *plugin = NULL;

	if (module != NULL)
		plugin = dlsym(module, "portero_plugin");
	if (plugin == NULL) {
		fprintf(stderr, "manual: %s\n", dlerror());
		return -1;
	}
	buf_appendf(out, ".Ss Plugin %s (%s)\n", plugin->name,
	    plugin->auth != NULL    ? "auth"
	    : plugin->store != NULL ? "store"
				    : "policy");
	config_manual_plugin(plugin->options, out);
	return 0; /* stays open: its table is read from */
}

static int
write_line(const char *line, char **plugins, struct buf *out)
{
	if (strcmp(line, "@OPTIONS@\n") == 0)
		config_manual(out);
	else if (strcmp(line, "@PLUGINS@\n") == 0) {
		for (; *plugins != NULL; plugins++)
			if (write_plugin(*plugins, out) == -1)
				return -1;
	} else
		buf_appendf(out, "%s", line);
	return 0;
}

int
main(int argc, char *argv[])
{
	FILE *template = argc > 1 ? fopen(argv[1], "r") : NULL;
	struct buf out = { 0 };
	char *line = NULL;
	size_t size = 0;
	int ret = 0;

	if (template == NULL) {
		fprintf(stderr, "usage: manual TEMPLATE [PLUGIN.so ...]\n");
		return 2;
	}
	while (ret == 0 && getline(&line, &size, template) != -1)
		ret = write_line(line, argv + 2, &out);
	fclose(template);
	free(line);
	if (ret == 0 &&
	    (fwrite(buf_data(&out), 1, buf_len(&out), stdout) !=
		    buf_len(&out) ||
		fflush(stdout) != 0))
		ret = -1;
	buf_free(&out);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
