# Built by `make bench`, run by tests/bench/run; no part of `make check`.
bench_common = tests/bench/bench.c tests/bench/bench.h
bench_programs = tests/bench/load tests/bench/floor tests/bench/sink
EXTRA_PROGRAMS += $(bench_programs)
bench_all += $(bench_programs)
CLEANFILES += $(bench_programs)
EXTRA_DIST += tests/bench/run

tests_bench_load_SOURCES = tests/bench/load.c $(bench_common)
tests_bench_load_LDADD = libportero.a $(CORE_LIBS)
tests_bench_floor_SOURCES = tests/bench/floor.c $(bench_common)
tests_bench_floor_LDADD = libportero.a $(CORE_LIBS)
tests_bench_sink_SOURCES = tests/bench/sink.c $(bench_common)
tests_bench_sink_LDADD = libportero.a $(CORE_LIBS)
