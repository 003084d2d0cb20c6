plugin_LTLIBRARIES += auth_file.la
auth_file_la_SOURCES = plugins/auth_file/auth_file.c \
	plugins/auth_file/users.c plugins/auth_file/users.h \
	plugins/common/value.c plugins/common/value.h
auth_file_la_LDFLAGS = $(PLUGIN_LDFLAGS)
auth_file_la_LIBADD = $(CRYPT_LIBS)
