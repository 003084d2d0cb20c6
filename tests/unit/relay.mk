relay_rig = tests/unit/relay_rig.c tests/unit/relay_rig.h \
	tests/unit/fake_upstream.c tests/unit/fake_upstream.h
relay_tests = \
	tests/unit/test_relay \
	tests/unit/test_relay_body \
	tests/unit/test_relay_loss \
	tests/unit/test_relay_map \
	tests/unit/test_relay_pool \
	tests/unit/test_relay_tls
check_PROGRAMS += $(relay_tests)
TESTS += $(relay_tests)
tests_unit_test_relay_SOURCES = tests/unit/test_relay.c $(relay_rig)
tests_unit_test_relay_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_relay_body_SOURCES = tests/unit/test_relay_body.c $(relay_rig)
tests_unit_test_relay_body_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_relay_loss_SOURCES = tests/unit/test_relay_loss.c $(relay_rig)
tests_unit_test_relay_loss_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_relay_map_SOURCES = tests/unit/test_relay_map.c
tests_unit_test_relay_map_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_relay_pool_SOURCES = tests/unit/test_relay_pool.c $(relay_rig)
tests_unit_test_relay_pool_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
tests_unit_test_relay_tls_SOURCES = tests/unit/test_relay_tls.c $(relay_rig)
tests_unit_test_relay_tls_LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
