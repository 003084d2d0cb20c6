plugin_LTLIBRARIES += policy_guard.la
policy_guard_la_SOURCES = plugins/policy_guard/policy_guard.c \
	plugins/policy_guard/memory.c plugins/policy_guard/memory.h \
	plugins/policy_guard/spelling.c plugins/policy_guard/spelling.h
policy_guard_la_LIBADD = $(UNISTRING_LIBS)
policy_guard_la_LDFLAGS = $(PLUGIN_LDFLAGS)
