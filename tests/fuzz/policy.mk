if !FUZZ
TESTS += tests/fuzz/fuzz_policy_wire
endif
EXTRA_DIST += tests/fuzz/corpus/policy_wire

check_PROGRAMS += tests/fuzz/fuzz_policy_wire
tests_fuzz_fuzz_policy_wire_SOURCES = tests/fuzz/fuzz_policy_wire.c \
	$(fuzz_driver)
tests_fuzz_fuzz_policy_wire_LDADD = libportero.a $(CORE_LIBS)
tests_fuzz_fuzz_policy_wire_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
