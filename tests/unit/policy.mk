policy_tests = \
	tests/unit/test_wire \
	tests/unit/test_question \
	tests/unit/test_chain
check_PROGRAMS += $(policy_tests)
TESTS += $(policy_tests)
tests_unit_test_wire_SOURCES = tests/unit/test_wire.c
tests_unit_test_wire_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_question_SOURCES = tests/unit/test_question.c
tests_unit_test_question_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_chain_SOURCES = tests/unit/test_chain.c
tests_unit_test_chain_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
