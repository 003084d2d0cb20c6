libportero_a_SOURCES += src/ipc/crowd.c src/ipc/crowd.h
libportero_a_SOURCES += src/ipc/lifeline.c src/ipc/lifeline.h
libportero_a_SOURCES += src/ipc/log_care.c src/ipc/log_care.h
libportero_a_SOURCES += src/ipc/role.c src/ipc/role.h
libportero_a_SOURCES += src/ipc/shared.c src/ipc/shared.h
libportero_a_SOURCES += src/ipc/board.c src/ipc/board.h
libportero_a_SOURCES += src/ipc/plan.c src/ipc/plan.h
