base_tests = \
	tests/unit/test_buf \
	tests/unit/test_clock \
	tests/unit/test_hash \
	tests/unit/test_idmap \
	tests/unit/test_log \
	tests/unit/test_sandbox \
	tests/unit/test_secret \
	tests/unit/test_shm
check_PROGRAMS += $(base_tests)
TESTS += $(base_tests)
tests_unit_test_buf_SOURCES = tests/unit/test_buf.c
tests_unit_test_buf_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_clock_SOURCES = tests/unit/test_clock.c
tests_unit_test_clock_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_hash_SOURCES = tests/unit/test_hash.c
tests_unit_test_hash_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_idmap_SOURCES = tests/unit/test_idmap.c
tests_unit_test_idmap_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_secret_SOURCES = tests/unit/test_secret.c
tests_unit_test_secret_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_shm_SOURCES = tests/unit/test_shm.c
tests_unit_test_shm_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_sandbox_SOURCES = tests/unit/test_sandbox.c
tests_unit_test_sandbox_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
