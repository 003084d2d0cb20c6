libportero_a_SOURCES += \
	src/control/control.c src/control/control.h \
	src/control/limits.c \
	src/control/logins.c \
	src/control/online.c \
	src/control/passwd_file.c src/control/passwd_file.h \
	src/control/request.c src/control/request.h \
	src/control/resolve.c src/control/resolve.h \
	src/control/server.c src/control/server.h \
	src/control/status.c \
	src/control/text.c src/control/text.h \
	src/control/upstream.c src/control/upstream.h \
	src/control/verbs.c src/control/verbs.h

bin_PROGRAMS += porteroctl
porteroctl_SOURCES = \
	src/control/ctl_auth.c \
	src/control/ctl_client.c \
	src/control/ctl_passwd.c \
	src/control/ctl_password.c \
	src/control/ctl_show.c \
	src/control/porteroctl.c src/control/porteroctl.h
porteroctl_LDADD = libportero.a $(CORE_LIBS)

completiondir = $(datadir)/bash-completion/completions
install-data-local:
	$(MKDIR_P) $(DESTDIR)$(completiondir)
	$(INSTALL_DATA) $(srcdir)/conf/porteroctl.bash \
	  $(DESTDIR)$(completiondir)/porteroctl
uninstall-local:
	rm -f $(DESTDIR)$(completiondir)/porteroctl
EXTRA_DIST += conf/porteroctl.bash
