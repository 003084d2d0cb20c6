check_PROGRAMS += tests/unit/test_shm_table
TESTS += tests/unit/test_shm_table
tests_unit_test_shm_table_SOURCES = tests/unit/test_shm_table.c
tests_unit_test_shm_table_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)

# The plugin's files are compiled once more, without libtool.
check_PROGRAMS += tests/unit/test_store_memory
TESTS += tests/unit/test_store_memory
tests_unit_test_store_memory_SOURCES = tests/unit/test_store_memory.c \
	tests/unit/fake_host.c tests/unit/fake_host.h \
	tests/unit/limit_model.c tests/unit/limit_model.h \
	tests/unit/store_suite.c tests/unit/store_suite.h \
	plugins/store_memory/store_memory.c \
	plugins/store_memory/books.c plugins/store_memory/books.h \
	plugins/store_memory/counter.c plugins/store_memory/counter.h
tests_unit_test_store_memory_CFLAGS = $(AM_CFLAGS)
tests_unit_test_store_memory_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)

check_PROGRAMS += tests/unit/test_policy_rate
TESTS += tests/unit/test_policy_rate
tests_unit_test_policy_rate_SOURCES = tests/unit/test_policy_rate.c \
	tests/unit/fake_host.c tests/unit/fake_host.h \
	plugins/policy_rate/policy_rate.c
tests_unit_test_policy_rate_CFLAGS = $(AM_CFLAGS)
tests_unit_test_policy_rate_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
