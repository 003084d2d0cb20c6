check_PROGRAMS += tests/unit/test_lifeline
TESTS += tests/unit/test_lifeline
tests_unit_test_lifeline_SOURCES = tests/unit/test_lifeline.c
tests_unit_test_lifeline_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
