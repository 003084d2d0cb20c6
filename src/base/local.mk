libportero_a_SOURCES += \
	src/base/ascii.h \
	src/base/buf.c src/base/buf.h \
	src/base/clock.c src/base/clock.h \
	src/base/error.c src/base/error.h \
	src/base/hash.c src/base/hash.h \
	src/base/id.c src/base/id.h \
	src/base/idmap.c src/base/idmap.h \
	src/base/log.c src/base/log.h \
	src/base/mem.c src/base/mem.h \
	src/base/network.c src/base/network.h \
	src/base/openssl.c src/base/openssl.h \
	src/base/sandbox.c src/base/sandbox.h \
	src/base/secret.c src/base/secret.h \
	src/base/shm.c src/base/shm.h \
	src/base/shm_table.c src/base/shm_table.h \
	src/base/sizes.c src/base/sizes.h \
	src/base/str.h \
	src/base/utf8.c src/base/utf8.h
