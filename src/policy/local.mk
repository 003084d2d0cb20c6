libportero_a_SOURCES += \
	src/policy/chain.c src/policy/chain.h \
	src/policy/host.c src/policy/host.h \
	src/policy/inquiry.c src/policy/inquiry.h \
	src/policy/login.c src/policy/login.h \
	src/policy/plugin.c src/policy/plugin.h \
	src/policy/policy.c \
	src/policy/queue.c src/policy/queue.h \
	src/policy/refusal.c src/policy/refusal.h \
	src/policy/secrets.c src/policy/secrets.h \
	src/policy/share.c src/policy/share.h \
	src/policy/tally.c src/policy/tally.h
