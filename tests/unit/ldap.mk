if HAVE_LDAP
ldap_tests = \
	tests/unit/test_ldap_names \
	tests/unit/test_ldap_entry
check_PROGRAMS += $(ldap_tests)
TESTS += $(ldap_tests)
tests_unit_test_ldap_names_SOURCES = tests/unit/test_ldap_names.c \
	plugins/auth_ldap/names.c plugins/auth_ldap/names.h
tests_unit_test_ldap_names_CFLAGS = $(AM_CFLAGS) $(LDAP_CFLAGS)
tests_unit_test_ldap_names_LDADD = $(CMOCKA_LIBS) $(LDAP_LIBS)
tests_unit_test_ldap_entry_SOURCES = tests/unit/test_ldap_entry.c \
	plugins/auth_ldap/entry.c plugins/auth_ldap/entry.h \
	plugins/auth_ldap/result.c plugins/auth_ldap/result.h
tests_unit_test_ldap_entry_CFLAGS = $(AM_CFLAGS) $(LDAP_CFLAGS)
tests_unit_test_ldap_entry_LDADD = $(CMOCKA_LIBS) $(LDAP_LIBS)
endif
