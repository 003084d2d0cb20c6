libportero_a_SOURCES += src/ipc/lifeline.c src/ipc/lifeline.h
