if !FUZZ
TESTS += tests/fuzz/fuzz_sasl tests/fuzz/fuzz_smtp_command \
	tests/fuzz/fuzz_smtp_dots tests/fuzz/fuzz_smtp_reply
endif
EXTRA_DIST += tests/fuzz/README.md tests/fuzz/smtp.dict \
	tests/fuzz/corpus/sasl tests/fuzz/corpus/smtp_command \
	tests/fuzz/corpus/smtp_dots tests/fuzz/corpus/smtp_reply

check_PROGRAMS += tests/fuzz/fuzz_sasl tests/fuzz/fuzz_smtp_command \
	tests/fuzz/fuzz_smtp_dots tests/fuzz/fuzz_smtp_reply
tests_fuzz_fuzz_sasl_SOURCES = tests/fuzz/fuzz_sasl.c $(fuzz_driver)
tests_fuzz_fuzz_sasl_LDADD = libportero.a $(CORE_LIBS)
tests_fuzz_fuzz_sasl_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_smtp_command_SOURCES = tests/fuzz/fuzz_smtp_command.c \
	$(fuzz_driver)
tests_fuzz_fuzz_smtp_command_LDADD = libportero.a $(CORE_LIBS)
tests_fuzz_fuzz_smtp_command_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_smtp_dots_SOURCES = tests/fuzz/fuzz_smtp_dots.c \
	$(fuzz_driver)
tests_fuzz_fuzz_smtp_dots_LDADD = libportero.a $(CORE_LIBS)
tests_fuzz_fuzz_smtp_dots_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_smtp_reply_SOURCES = tests/fuzz/fuzz_smtp_reply.c \
	$(fuzz_driver)
tests_fuzz_fuzz_smtp_reply_LDADD = libportero.a $(CORE_LIBS)
tests_fuzz_fuzz_smtp_reply_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
