/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * porterod: reads argv and becomes a role. What an operator starts is the
 * master; the master starts the others.
 */
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <portero/plugin.h>

#include "base/sandbox.h"
#include "ipc/role.h"
#include "master/master.h"

#define EXIT_USAGE 2

#ifdef PORTERO_SANITIZE
/* The search for leaks traces the process, which none of ours lets anybody do:
 * it would end each of them with a failure. Unit tests look for leaks. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

static const char usage[] =
    "usage: porterod [-c file]     start, in the foreground\n"
    "       porterod -t [-c file]  check the configuration\n"
    "       porterod -T [-c file]  check and print it with all defaults\n"
    "       porterod -V            print versions\n";

static int
print_versions(void)
{
	printf("portero %s\nplugin ABI %u\n%s\nlibevent %s\n", PACKAGE_VERSION,
	    PORTERO_ABI, OpenSSL_version(OPENSSL_VERSION),
	    event_get_version());
	return EXIT_SUCCESS;
}

static int
become(const struct role_args *a)
{
	char name[16]; /* what the kernel keeps */

	snprintf(name, sizeof(name), "portero-%s", role_name(a->role));
	prctl(PR_SET_NAME, name);
	sandbox_quiet();
	switch (a->role) {
	case ROLE_SESSION:
		return session_main(a);
	case ROLE_AUTH:
	case ROLE_POLICY:
		return policy_main(a);
	case ROLE_CONTROL:
		return control_main(a);
	case ROLE_CHECK:
		return check_main(a);
	case ROLE_MASTER:
		break; /* nobody is started as it: role_args_decode() */
	}
	abort();
}

static int
be_role(int argc, char *argv[])
{
	struct role_args args;
	struct error err;

	if (role_args_decode(argc, argv, &args, &err) == 0)
		return become(&args);
	fprintf(stderr, "porterod: %s\n", err.text);
	return EXIT_USAGE;
}

int
main(int argc, char *argv[])
{
	const char *path = PORTERO_SYSCONF_DIR "/portero.conf";
	int option, act = 0;

	if (argc > 1 && strncmp(argv[1], "--role=", 7) == 0)
		return be_role(argc, argv);
	while ((option = getopt(argc, argv, "c:tTV")) != -1) {
		if (option == '?') {
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
		if (option == 'c')
			path = optarg;
		else
			act = option;
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	if (act == 'V')
		return print_versions();
	if (act != 0)
		return master_try(path, act == 'T');
	return master_main(path);
}
