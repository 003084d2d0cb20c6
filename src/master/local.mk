libportero_a_SOURCES += \
	src/master/boot.c src/master/master.c \
	src/master/master.h src/master/master_private.h \
	src/master/channels.c src/master/channels.h \
	src/master/check.c \
	src/master/child.c src/master/child.h \
	src/master/claim.c src/master/claim.h \
	src/master/generation.c src/master/generation.h \
	src/master/launch.c src/master/launch.h \
	src/master/listener.c src/master/listener.h \
	src/master/log_target.c src/master/log_target.h \
	src/master/owed.c src/master/owed.h \
	src/master/reload.c src/master/reload.h \
	src/master/rows.c src/master/rows.h \
	src/master/shares.c src/master/shares.h \
	src/master/trial.c src/master/trial.h \
	src/master/watch.c src/master/watch.h
