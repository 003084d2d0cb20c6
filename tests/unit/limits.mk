check_PROGRAMS += tests/unit/test_shm_table
TESTS += tests/unit/test_shm_table
tests_unit_test_shm_table_SOURCES = tests/unit/test_shm_table.c
tests_unit_test_shm_table_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
