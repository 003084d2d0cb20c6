config_tests = \
	tests/unit/test_config_bad \
	tests/unit/test_config_files \
	tests/unit/test_config_load \
	tests/unit/test_config_read \
	tests/unit/test_config_value
check_PROGRAMS += $(config_tests)
TESTS += $(config_tests)
EXTRA_DIST += tests/data/config
config_rig = tests/unit/config_rig.c tests/unit/config_rig.h
tests_unit_test_config_bad_SOURCES = tests/unit/test_config_bad.c $(config_rig)
tests_unit_test_config_bad_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_config_files_SOURCES = tests/unit/test_config_files.c \
	$(config_rig)
tests_unit_test_config_files_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_config_load_SOURCES = tests/unit/test_config_load.c \
	$(config_rig)
tests_unit_test_config_load_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_config_read_SOURCES = tests/unit/test_config_read.c \
	$(config_rig)
tests_unit_test_config_read_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_config_value_SOURCES = tests/unit/test_config_value.c
tests_unit_test_config_value_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
