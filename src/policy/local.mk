libportero_a_SOURCES += \
	src/policy/attempts.c src/policy/attempts.h \
	src/policy/chain.c src/policy/chain.h \
	src/policy/host.c src/policy/host.h \
	src/policy/inquiry.c src/policy/inquiry.h \
	src/policy/journal.c src/policy/journal.h \
	src/policy/login.c src/policy/login.h \
	src/policy/login_cache.c src/policy/login_cache.h \
	src/policy/lookup.c src/policy/lookup.h \
	src/policy/mirror.c src/policy/mirror.h \
	src/policy/plugin.c src/policy/plugin.h \
	src/policy/policy.c \
	src/policy/queue.c src/policy/queue.h \
	src/policy/refusal.c src/policy/refusal.h \
	src/policy/secrets.c src/policy/secrets.h \
	src/policy/share.c src/policy/share.h \
	src/policy/store.c src/policy/store.h \
	src/policy/store_charge.c \
	src/policy/store_local.c src/policy/store_private.h \
	src/policy/tally.c src/policy/tally.h \
	src/policy/warning.c src/policy/warning.h \
	src/policy/window.c
