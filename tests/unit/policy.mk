policy_tests = \
	tests/unit/test_wire \
	tests/unit/test_question \
	tests/unit/test_chain \
	tests/unit/test_login \
	tests/unit/test_plugin \
	tests/unit/test_queue \
	tests/unit/test_worker \
	tests/unit/test_auth_file \
	tests/unit/test_policy_size \
	tests/unit/test_policy_secrets
check_PROGRAMS += $(policy_tests)
TESTS += $(policy_tests)
policy_test_libs = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
policy_test_plugins = -DTEST_PLUGIN_DIR='"$(abs_top_builddir)/.libs"'

tests_unit_test_wire_SOURCES = tests/unit/test_wire.c
tests_unit_test_wire_LDADD = $(policy_test_libs)
tests_unit_test_question_SOURCES = tests/unit/test_question.c
tests_unit_test_question_LDADD = $(policy_test_libs)
tests_unit_test_chain_SOURCES = tests/unit/test_chain.c
tests_unit_test_chain_LDADD = $(policy_test_libs)
tests_unit_test_login_SOURCES = tests/unit/test_login.c
tests_unit_test_login_LDADD = $(policy_test_libs)
tests_unit_test_plugin_SOURCES = tests/unit/test_plugin.c
tests_unit_test_plugin_CPPFLAGS = $(AM_CPPFLAGS) $(policy_test_plugins)
tests_unit_test_plugin_LDADD = $(policy_test_libs)
tests_unit_test_queue_SOURCES = tests/unit/test_queue.c
tests_unit_test_queue_LDADD = $(policy_test_libs)
tests_unit_test_worker_SOURCES = tests/unit/test_worker.c
tests_unit_test_worker_CPPFLAGS = $(AM_CPPFLAGS) $(policy_test_plugins)
tests_unit_test_worker_LDADD = $(policy_test_libs)
tests_unit_test_auth_file_SOURCES = tests/unit/test_auth_file.c \
	tests/unit/fake_host.c tests/unit/fake_host.h \
	plugins/auth_file/auth_file.c plugins/auth_file/users.c \
	plugins/auth_file/users.h
tests_unit_test_auth_file_CFLAGS = $(AM_CFLAGS)
tests_unit_test_auth_file_LDADD = $(policy_test_libs)
tests_unit_test_policy_size_SOURCES = tests/unit/test_policy_size.c \
	tests/unit/fake_host.c tests/unit/fake_host.h \
	plugins/policy_size/policy_size.c
tests_unit_test_policy_size_CFLAGS = $(AM_CFLAGS)
tests_unit_test_policy_size_LDADD = $(policy_test_libs)
tests_unit_test_policy_secrets_SOURCES = tests/unit/test_policy_secrets.c \
	tests/unit/config_rig.c tests/unit/config_rig.h
tests_unit_test_policy_secrets_LDADD = $(policy_test_libs)
