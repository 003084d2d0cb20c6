check_PROGRAMS += tests/unit/test_control_wire tests/unit/test_passwd_file
TESTS += tests/unit/test_control_wire tests/unit/test_passwd_file
tests_unit_test_control_wire_SOURCES = tests/unit/test_control_wire.c
tests_unit_test_control_wire_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_passwd_file_SOURCES = tests/unit/test_passwd_file.c
tests_unit_test_passwd_file_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
