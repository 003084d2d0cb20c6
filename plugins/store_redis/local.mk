# The script as C: its text, a line a string, and the name Redis gives it.
plugins/store_redis/script.c: plugins/store_redis/script.lua
	$(AM_V_GEN)$(MKDIR_P) plugins/store_redis && { \
	  echo '#include <stddef.h>'; \
	  echo '#include "plugins/store_redis/script.h"'; \
	  echo 'const char script_text[] ='; \
	  sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $<; \
	  echo ';'; echo 'const size_t script_len = sizeof script_text - 1;'; \
	  echo 'const char script_sha1[] ='; \
	  echo "\"$$(sha1sum <$< | cut -d ' ' -f 1)\";"; } >$@
CLEANFILES += plugins/store_redis/script.c
EXTRA_DIST += plugins/store_redis/script.lua

# Also of the tests that look into it.
store_redis_files = plugins/store_redis/store_redis.c \
	plugins/common/dial.c plugins/common/dial.h \
	plugins/common/op.c plugins/common/op.h \
	plugins/store_redis/answer.c plugins/store_redis/answer.h \
	plugins/store_redis/bounds.c plugins/store_redis/bounds.h \
	plugins/store_redis/call.c plugins/store_redis/call.h \
	plugins/store_redis/command.c plugins/store_redis/command.h \
	plugins/store_redis/connection.c plugins/store_redis/connection.h \
	plugins/store_redis/script.h \
	plugins/store_redis/servers.c plugins/store_redis/servers.h \
	plugins/store_redis/settings.c plugins/store_redis/settings.h \
	plugins/store_redis/status.c plugins/store_redis/status.h \
	plugins/store_redis/tls.c plugins/store_redis/tls.h
if HAVE_REDIS
plugin_LTLIBRARIES += store_redis.la
store_redis_la_SOURCES = $(store_redis_files)
nodist_store_redis_la_SOURCES = plugins/store_redis/script.c
store_redis_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
store_redis_la_CFLAGS = $(AM_CFLAGS) $(HIREDIS_CFLAGS)
store_redis_la_LDFLAGS = $(PLUGIN_LDFLAGS)
store_redis_la_LIBADD = $(HIREDIS_LIBS)
endif
