libportero_a_SOURCES += \
	src/ipc/wire.c src/ipc/wire.h \
	src/ipc/record.c src/ipc/record.h src/ipc/field.h \
	src/ipc/question.c src/ipc/question.h \
	src/ipc/identity.c \
	src/ipc/top.c src/ipc/top.h
