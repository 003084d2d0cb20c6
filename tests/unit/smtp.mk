smtp_unit_tests = \
	tests/unit/test_command \
	tests/unit/test_dots \
	tests/unit/test_dots_sse2 \
	tests/unit/test_dots_word \
	tests/unit/test_ehlo \
	tests/unit/test_received \
	tests/unit/test_reply \
	tests/unit/test_sasl
check_PROGRAMS += $(smtp_unit_tests)
TESTS += $(smtp_unit_tests)

tests_unit_test_command_SOURCES = tests/unit/test_command.c
tests_unit_test_command_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_dots_SOURCES = tests/unit/test_dots.c tests/unit/dots_model.h
tests_unit_test_dots_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_ehlo_SOURCES = tests/unit/test_ehlo.c
tests_unit_test_ehlo_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_received_SOURCES = tests/unit/test_received.c
tests_unit_test_received_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_reply_SOURCES = tests/unit/test_reply.c
tests_unit_test_reply_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_sasl_SOURCES = tests/unit/test_sasl.c
tests_unit_test_sasl_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_sasl_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=free

# The data scan once more, in the ways that this machine does not choose.
tests_unit_test_dots_sse2_SOURCES = tests/unit/test_dots.c src/smtp/dots.c
tests_unit_test_dots_sse2_CPPFLAGS = $(AM_CPPFLAGS) -DSMTP_DOTS_ONLY_SSE2
tests_unit_test_dots_sse2_LDADD = $(CMOCKA_LIBS)
tests_unit_test_dots_word_SOURCES = tests/unit/test_dots.c src/smtp/dots.c
tests_unit_test_dots_word_CPPFLAGS = $(AM_CPPFLAGS) -DSMTP_DOTS_ONLY_WORDS
tests_unit_test_dots_word_LDADD = $(CMOCKA_LIBS)
