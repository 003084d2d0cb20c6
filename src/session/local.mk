libportero_a_SOURCES += \
	src/session/arrival.c src/session/arrival.h \
	src/session/attempt.c \
	src/session/auth.c \
	src/session/body.c \
	src/session/chunk.c \
	src/session/dispatch.c \
	src/session/envelope.c \
	src/session/group.c src/session/group.h \
	src/session/header.c \
	src/session/hello.c \
	src/session/input.c \
	src/session/judge.c \
	src/session/loop.c \
	src/session/ledger.c src/session/ledger.h \
	src/session/permission.c \
	src/session/questions.c src/session/questions.h \
	src/session/replies.c src/session/replies.h \
	src/session/session.c src/session/session.h \
	src/session/session_io.c src/session/session_io.h \
	src/session/session_private.h \
	src/session/tls.c src/session/tls.h \
	src/session/transaction.c src/session/transaction.h \
	src/session/worker.c src/session/worker.h
