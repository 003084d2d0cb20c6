libportero_a_SOURCES += \
	src/smtp/chunks.c src/smtp/chunks.h \
	src/smtp/command.c src/smtp/command.h \
	src/smtp/dots.c src/smtp/dots.h \
	src/smtp/ehlo.c src/smtp/ehlo.h \
	src/smtp/header.c src/smtp/header.h \
	src/smtp/proxy.c src/smtp/proxy.h \
	src/smtp/params.c src/smtp/params.h \
	src/smtp/received.c src/smtp/received.h \
	src/smtp/reply.c src/smtp/reply.h \
	src/smtp/sasl.c src/smtp/sasl.h
