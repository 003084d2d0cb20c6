libportero_a_SOURCES += \
	src/config/access.c \
	src/config/check.c src/config/check.h \
	src/config/clean.c src/config/clean.h \
	src/config/conf.h \
	src/config/files.c \
	src/config/help.c \
	src/config/hint.c src/config/hint.h \
	src/config/load.c src/config/load.h \
	src/config/messages.c src/config/messages.h \
	src/config/module.c src/config/module.h \
	src/config/options.c src/config/options.h \
	src/config/origin.c src/config/origin.h \
	src/config/places.c \
	src/config/prepass.c src/config/prepass.h \
	src/config/print.c \
	src/config/scan.c src/config/scan.h \
	src/config/section.c src/config/section.h \
	src/config/sockets.c \
	src/config/start.c src/config/start.h \
	src/config/tree.c src/config/tree.h \
	src/config/upstreams.c \
	src/config/value.c src/config/value.h
