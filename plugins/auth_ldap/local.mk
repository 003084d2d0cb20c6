if HAVE_LDAP
plugin_LTLIBRARIES += auth_ldap.la
auth_ldap_la_SOURCES = plugins/auth_ldap/auth_ldap.c \
	plugins/common/dial.c plugins/common/dial.h \
	plugins/common/value.c plugins/common/value.h \
	plugins/auth_ldap/connection.c plugins/auth_ldap/connection.h \
	plugins/auth_ldap/entry.c plugins/auth_ldap/entry.h \
	plugins/auth_ldap/names.c plugins/auth_ldap/names.h \
	plugins/auth_ldap/result.c plugins/auth_ldap/result.h \
	plugins/auth_ldap/server.c plugins/auth_ldap/server.h \
	plugins/auth_ldap/settings.c plugins/auth_ldap/settings.h \
	plugins/auth_ldap/tls.c plugins/auth_ldap/tls.h
auth_ldap_la_CFLAGS = $(AM_CFLAGS) $(LDAP_CFLAGS) $(OPENSSL_CFLAGS)
auth_ldap_la_LDFLAGS = $(PLUGIN_LDFLAGS)
auth_ldap_la_LIBADD = $(LDAP_LIBS) $(UNISTRING_LIBS) \
	$(OPENSSL_LIBS)
endif
