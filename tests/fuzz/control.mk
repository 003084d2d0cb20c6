if !FUZZ
TESTS += tests/fuzz/fuzz_control_wire
endif
EXTRA_DIST += tests/fuzz/corpus/control_wire

check_PROGRAMS += tests/fuzz/fuzz_control_wire
tests_fuzz_fuzz_control_wire_SOURCES = tests/fuzz/fuzz_control_wire.c \
	$(fuzz_driver)
tests_fuzz_fuzz_control_wire_LDADD = libportero.a $(CORE_LIBS)
tests_fuzz_fuzz_control_wire_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
