# Fuzz targets: with --enable-fuzz libFuzzer drives them; else they replay
# their seeds as plain tests.
fuzz_driver =
if !FUZZ
fuzz_driver += tests/fuzz/main.c
TESTS += tests/fuzz/fuzz_log
endif
EXTRA_DIST += tests/fuzz/corpus/log

check_PROGRAMS += tests/fuzz/fuzz_log
tests_fuzz_fuzz_log_SOURCES = tests/fuzz/fuzz_log.c $(fuzz_driver)
tests_fuzz_fuzz_log_LDADD = libportero.a $(CORE_LIBS)
tests_fuzz_fuzz_log_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
