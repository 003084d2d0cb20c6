libportero_a_SOURCES += \
	src/relay/access.c \
	src/relay/chunks.c \
	src/relay/conn.c \
	src/relay/dial.c \
	src/relay/hello.c \
	src/relay/introduce.c \
	src/relay/host.c \
	src/relay/map.c \
	src/relay/pool.c \
	src/relay/probe.c \
	src/relay/relay.h src/relay/relay_private.h \
	src/relay/route.c \
	src/relay/steps.c \
	src/relay/tls.c \
	src/relay/transaction.c
