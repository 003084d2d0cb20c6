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

if HAVE_REDIS
EXTRA_PROGRAMS += tests/bench/store
bench_all += tests/bench/store
CLEANFILES += tests/bench/store
tests_bench_store_SOURCES = tests/bench/store.c $(bench_common) \
	tests/unit/fake_host.c tests/unit/fake_host.h $(store_redis_files)
nodist_tests_bench_store_SOURCES = plugins/store_redis/script.c
tests_bench_store_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_bench_store_CFLAGS = $(AM_CFLAGS) $(HIREDIS_CFLAGS)
tests_bench_store_LDADD = libportero.a $(CORE_LIBS) $(HIREDIS_LIBS)
endif
