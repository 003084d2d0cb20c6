if !FUZZ
TESTS += tests/fuzz/fuzz_config
endif
EXTRA_DIST += tests/fuzz/config.dict tests/fuzz/corpus/config

check_PROGRAMS += tests/fuzz/fuzz_config
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c \
	tests/unit/config_rig.c tests/unit/config_rig.h $(fuzz_driver)
tests_fuzz_fuzz_config_LDADD = libportero.a $(CORE_LIBS)
tests_fuzz_fuzz_config_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
