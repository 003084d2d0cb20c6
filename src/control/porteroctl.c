/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * porteroctl: the operator's command. Reads its arguments, lets somebody
 * answer, prints the answer.
 */
#include "control/porteroctl.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/conf.h"
#include "control/text.h"
#include "policy/plugin.h"

#define DEFAULT_SOCKET PORTERO_RUN_DIR "/control"
#define DEFAULT_CONFIG PORTERO_SYSCONF_DIR "/portero.conf"
#define DEFAULT_USERS PORTERO_SYSCONF_DIR "/users"

enum exit_status {
	EXIT_REFUSED = 1,
	EXIT_USAGE,
	EXIT_UNREACHABLE,
	EXIT_NOT_FOUND
};

struct arguments {
	const char *socket_path;
	bool json;
	unsigned options; /* VERB_HAS_* that were used */
	const struct verb *verb;
	const char *operand; /* NULL: none */
	bool all, online;
	const char *from, *to; /* NULL: none */
	const char *file;
	const char *plugins; /* their folder */
	const char *config;
	struct passwd_edit edit;
};

static void
usage(FILE *to)
{
	struct buf text = { .mem = NULL };

	verb_usage(&text);
	fprintf(to,
	    "Usage: porteroctl [--socket PATH] [--json] VERB ...\n\n"
	    "%.*s\n"
	    "  -s, --socket PATH  the daemon's control socket (%s)\n"
	    "  -j, --json         print the answer as JSON\n"
	    "  -h, --help         print this\n"
	    "  -V, --version      print the version\n\n"
	    "Exit status: 0 done, 1 failed or refused, 2 usage, 3 daemon not\n"
	    "reachable, 4 not found.\n",
	    (int)buf_len(&text), buf_data(&text), DEFAULT_SOCKET);
	buf_free(&text);
}

static _Noreturn void
usage_error(const char *what, const char *which)
{
	struct buf text = { .mem = NULL };

	text_show(&text, str_of(which), false);
	fprintf(stderr,
	    "porteroctl: %s%.*s\n"
	    "Try 'porteroctl --help'.\n",
	    what, (int)buf_len(&text),
	    buf_len(&text) == 0 ? "" : buf_data(&text));
	exit(EXIT_USAGE);
}

static void
read_option(struct arguments *a, int c)
{
	switch (c) {
	case 's':
		a->socket_path = optarg;
		break;
	case 'j':
		a->json = true;
		break;
	case 'h':
		usage(stdout);
		exit(EXIT_SUCCESS);
	case 'V':
		printf("porteroctl %s\n", PACKAGE_VERSION);
		exit(EXIT_SUCCESS);
	case 'a':
		a->all = true;
		a->options |= VERB_HAS_ALL;
		break;
	case 'O':
		a->online = true;
		a->options |= VERB_HAS_ONLINE;
		break;
	case 'F':
		a->from = optarg;
		a->options |= VERB_HAS_ONLINE;
		break;
	case 'T':
		a->to = optarg;
		a->options |= VERB_HAS_ONLINE;
		break;
	case 'f':
		a->file = optarg;
		a->options |= VERB_HAS_PASSWD;
		break;
	case 'p':
		a->plugins = optarg;
		a->options |= VERB_HAS_PLUGINS;
		break;
	case 'C':
		a->config = optarg;
		a->options |= VERB_HAS_CONFIG;
		break;
	case 'c':
		a->edit.class_name = optarg;
		a->options |= VERB_HAS_PASSWD;
		break;
	case 'd':
	case 'l':
		if (a->edit.change != PASSWD_SET)
			usage_error(
			    "--delete and --lock exclude each other", "");
		a->edit.change = c == 'd' ? PASSWD_DELETE : PASSWD_LOCK;
		a->options |= VERB_HAS_PASSWD;
		break;
	default: /* getopt has said what is wrong */
		exit(EXIT_USAGE);
	}
}

/* The verb of one or two words, and what follows it. */
static void
read_words(struct arguments *a, char **words, int n)
{
	char name[64];
	int used = 1;

	if (n == 0)
		usage_error("which verb?", "");
	a->verb = verb_find(words[0]);
	if (a->verb == NULL && n > 1) {
		snprintf(name, sizeof name, "%s %s", words[0], words[1]);
		a->verb = verb_find(name);
		used = 2;
	}
	if (a->verb == NULL)
		usage_error("no such verb: ", words[0]);
	a->operand = n > used ? words[used] : NULL;
	if (n > used + ((a->verb->flags & VERB_OPERAND) != 0 ? 1 : 0))
		usage_error("too many arguments for ", a->verb->name);
	if (a->operand == NULL && (a->verb->flags & VERB_OPERAND) != 0 &&
	    (a->verb->flags & VERB_MAY_OMIT) == 0)
		usage_error("an argument is missing: ", a->verb->arguments);
	if ((a->options & ~a->verb->flags) != 0)
		usage_error("an option is not for ", a->verb->name);
	if ((a->verb->flags & VERB_HAS_ONLINE) != 0 && !a->online)
		usage_error("check needs --online; porterod -t checks a "
			    "configuration", "");
	if ((a->from == NULL) != (a->to == NULL))
		usage_error("--from and --to go together", "");
	if (a->edit.class_name != NULL && a->edit.change != PASSWD_SET)
		usage_error("--class goes with a new password only", "");
}

static struct arguments
read_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ "all", no_argument, NULL, 'a' },
		{ "file", required_argument, NULL, 'f' },
		{ "delete", no_argument, NULL, 'd' },
		{ "lock", no_argument, NULL, 'l' },
		{ "class", required_argument, NULL, 'c' },
		{ "plugins", required_argument, NULL, 'p' },
		{ "config", required_argument, NULL, 'C' },
		{ "online", no_argument, NULL, 'O' },
		{ "from", required_argument, NULL, 'F' },
		{ "to", required_argument, NULL, 'T' },
		{ NULL, 0, NULL, 0 },
	};
	struct arguments a = { .socket_path = DEFAULT_SOCKET,
		.file = DEFAULT_USERS,
		.plugins = PORTERO_PLUGIN_DIR,
		.config = DEFAULT_CONFIG,
		.edit.change = PASSWD_SET };
	int c;

	while (
	    (c = getopt_long(argc, argv, "s:jhVaf:dlc:p:C:", options, NULL)) != -1)
		read_option(&a, c);
	read_words(&a, argv + optind, argc - optind);
	return a;
}

/* ---- who answers -------------------------------------------------------- */

/* "policy_rate" or "policy_rate.limit.per". */
static int
plugin_help(const char *folder, const char *name, struct buf *out,
    struct error *err)
{
	struct plugin_set *set = plugin_set_new(folder, 0);
	const char *dot = strchr(name, '.');
	char plugin[64];
	const struct portero_plugin *table = NULL;
	int ret = -1;

	str_copy(plugin, sizeof plugin,
	    (struct str){ name, strcspn(name, ".") });
	table = plugin_set_load(set, plugin, err);
	if (table != NULL)
		ret = config_help_plugin(
		    plugin, table->options, dot == NULL ? NULL : dot + 1, out);
	if (table != NULL && ret == -1)
		error_set(err, ERROR_PERMANENT,
		    "the plugin %s has no such option", plugin);
	plugin_set_free(&set);
	return ret;
}

static json_t *
config_help_answer(const char *folder, const char *name)
{
	struct buf text = { .mem = NULL };
	struct error err;
	json_t *answer;

	if (config_help(name, &text) == -1 &&
	    plugin_help(folder, name, &text, &err) == -1)
		answer = answer_error(REASON_NOT_FOUND,
		    "no option \"%s\", and no plugin either: %s", name,
		    err.text);
	else
		answer = answer_text(
		    (struct str){ buf_data(&text), buf_len(&text) });
	buf_free(&text);
	return answer;
}

static json_t *
ask_daemon(const struct arguments *a)
{
	struct request r = { .verb = a->verb, .all = a->all };
	json_t *answer;

	if (a->operand != NULL &&
	    (!request_person_ok(str_of(a->operand)) ||
		!str_copy(request_operand(&r), PERSON_MAX + 1,
		    str_of(a->operand))))
		return answer_error(
		    REASON_USAGE, "\"%s\" cannot be a name", a->operand);
	if (a->from != NULL &&
	    (!request_address_ok(str_of(a->from)) ||
		!request_address_ok(str_of(a->to))))
		return answer_error(REASON_USAGE,
		    "--from and --to want addresses without < and >");
	if (a->from != NULL) {
		str_copy(r.from, sizeof r.from, str_of(a->from));
		str_copy(r.to, sizeof r.to, str_of(a->to));
	}
	answer = ctl_ask(a->socket_path, &r);
	if (a->verb->id == VERB_LIMITS_SHOW &&
	    json_is_true(json_object_get(answer, "ok")) &&
	    json_array_size(json_object_get(answer, "limits")) == 0) {
		json_decref(answer);
		answer = answer_error(
		    REASON_NOT_FOUND, "no counters for %s", a->operand);
	}
	return answer;
}

static json_t *
get_answer(const struct arguments *a)
{
	struct passwd_edit edit = a->edit;

	switch (a->verb->id) {
	case VERB_CONFIG_HELP:
		return config_help_answer(a->plugins, a->operand);
	case VERB_PASSWD:
		edit.name = a->operand;
		return ctl_passwd(a->file, edit);
	case VERB_AUTH_TEST:
		return ctl_auth_test(a->config, a->operand);
	default:
		return ask_daemon(a);
	}
}

/* ---- what comes of it --------------------------------------------------- */

static enum exit_status
status_of(const json_t *answer)
{
	const char *reason =
	    json_string_value(json_object_get(answer, "reason"));

	if (json_is_true(json_object_get(answer, "ok")))
		return EXIT_SUCCESS;
	if (reason == NULL)
		return EXIT_REFUSED;
	if (strcmp(reason, REASON_USAGE) == 0)
		return EXIT_USAGE;
	if (strcmp(reason, REASON_UNREACHABLE) == 0)
		return EXIT_UNREACHABLE;
	if (strcmp(reason, REASON_NOT_FOUND) == 0)
		return EXIT_NOT_FOUND;
	return EXIT_REFUSED;
}

static void
print_error(const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");
	struct buf text = { .mem = NULL };

	buf_append_str(&text, STR("porteroctl: "));
	text_show(&text,
	    json_is_string(error) ? (struct str){ json_string_value(error),
					json_string_length(error) }
				  : STR("failed"),
	    true);
	if (buf_data(&text)[buf_len(&text) - 1] != '\n')
		buf_append(&text, "\n", 1);
	fwrite(buf_data(&text), 1, buf_len(&text), stderr);
	buf_free(&text);
}

static void
print_json(const json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII);

	printf("%s\n", text == NULL ? "null" : text);
	free(text);
}

int
main(int argc, char **argv)
{
	struct arguments a = read_arguments(argc, argv);
	struct buf text = { .mem = NULL };
	json_t *answer = get_answer(&a);
	int status = (int)status_of(answer);

	if (a.json) {
		print_json(answer);
	} else {
		/* of what failed there may be more to show than a reason */
		if (status == EXIT_SUCCESS ||
		    json_object_get(answer, "checks") != NULL ||
		    json_object_get(answer, "steps") != NULL)
			ctl_show(a.verb, answer, &text);
		if (buf_len(&text) > 0)
			fwrite(buf_data(&text), 1, buf_len(&text), stdout);
		buf_free(&text);
		fflush(stdout);
		if (status != EXIT_SUCCESS)
			print_error(answer);
	}
	json_decref(answer);
	if (fflush(stdout) == EOF)
		return EXIT_REFUSED;
	return status;
}
