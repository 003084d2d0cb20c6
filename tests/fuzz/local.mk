# Fuzz targets: with --enable-fuzz libFuzzer drives them; else they replay
# their seeds as plain tests.
fuzz_targets = tests/fuzz/fuzz_config tests/fuzz/fuzz_control_wire \
	tests/fuzz/fuzz_log tests/fuzz/fuzz_policy_wire \
	tests/fuzz/fuzz_proxy tests/fuzz/fuzz_sasl tests/fuzz/fuzz_session \
	tests/fuzz/fuzz_smtp_chunks tests/fuzz/fuzz_smtp_command tests/fuzz/fuzz_smtp_dots \
	tests/fuzz/fuzz_smtp_ehlo tests/fuzz/fuzz_smtp_header \
	tests/fuzz/fuzz_smtp_reply
if HAVE_LDAP
fuzz_targets += tests/fuzz/fuzz_ldap
endif
if HAVE_REDIS
fuzz_targets += tests/fuzz/fuzz_redis_reply
endif
if FUZZ
fuzz_driver =
noinst_PROGRAMS += $(fuzz_targets)
else
fuzz_driver = tests/fuzz/main.c
check_PROGRAMS += $(fuzz_targets)
TESTS += $(fuzz_targets)
endif
EXTRA_DIST += tests/fuzz/README.md tests/fuzz/config.dict \
	tests/fuzz/smtp.dict tests/fuzz/corpus

# UNCOVERED_CFLAGS: the code of the target itself is not to be covered.
fuzz_libs = libportero.a $(CORE_LIBS)
fuzz_ldflags = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c \
	tests/unit/config_rig.c tests/unit/config_rig.h $(fuzz_driver)
tests_fuzz_fuzz_config_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_control_wire_SOURCES = tests/fuzz/fuzz_control_wire.c $(fuzz_driver)
tests_fuzz_fuzz_control_wire_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_control_wire_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_ldap_SOURCES = tests/fuzz/fuzz_ldap.c \
	plugins/auth_ldap/names.c plugins/auth_ldap/names.h \
	plugins/common/value.c plugins/common/value.h $(fuzz_driver)
tests_fuzz_fuzz_ldap_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_fuzz_fuzz_ldap_CFLAGS = $(AM_CFLAGS) $(LDAP_CFLAGS)
tests_fuzz_fuzz_ldap_LDADD = $(LDAP_LIBS) $(UNISTRING_LIBS)
tests_fuzz_fuzz_ldap_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_log_SOURCES = tests/fuzz/fuzz_log.c $(fuzz_driver)
tests_fuzz_fuzz_log_CFLAGS = $(AM_CFLAGS) $(UNCOVERED_CFLAGS)
tests_fuzz_fuzz_log_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_log_LDFLAGS = $(fuzz_ldflags) -Wl,--wrap=write
tests_fuzz_fuzz_policy_wire_SOURCES = tests/fuzz/fuzz_policy_wire.c $(fuzz_driver)
tests_fuzz_fuzz_policy_wire_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_policy_wire_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_proxy_SOURCES = tests/fuzz/fuzz_proxy.c $(fuzz_driver)
tests_fuzz_fuzz_proxy_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_proxy_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_redis_reply_SOURCES = tests/fuzz/fuzz_redis_reply.c \
	plugins/common/dial.c plugins/common/dial.h \
	plugins/common/op.c plugins/common/op.h \
	plugins/store_redis/answer.c plugins/store_redis/answer.h \
	plugins/store_redis/bounds.c plugins/store_redis/bounds.h \
	plugins/store_redis/call.c plugins/store_redis/call.h \
	plugins/store_redis/command.c plugins/store_redis/command.h \
	plugins/store_redis/connection.c plugins/store_redis/connection.h \
	plugins/store_redis/tls.c plugins/store_redis/tls.h \
	$(fuzz_driver)
nodist_tests_fuzz_fuzz_redis_reply_SOURCES = plugins/store_redis/script.c
tests_fuzz_fuzz_redis_reply_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_fuzz_fuzz_redis_reply_CFLAGS = $(AM_CFLAGS) $(HIREDIS_CFLAGS)
tests_fuzz_fuzz_redis_reply_LDADD = $(fuzz_libs) $(HIREDIS_LIBS)
tests_fuzz_fuzz_redis_reply_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_sasl_SOURCES = tests/fuzz/fuzz_sasl.c $(fuzz_driver)
tests_fuzz_fuzz_sasl_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_sasl_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_session_SOURCES = tests/fuzz/fuzz_session.c \
	tests/fuzz/session_net.c tests/fuzz/session_net.h \
	tests/fuzz/session_pools.c tests/fuzz/session_rig.c \
	tests/fuzz/session_rig.h tests/fuzz/session_upstream.c $(fuzz_driver)
tests_fuzz_fuzz_session_CFLAGS = $(AM_CFLAGS) $(UNCOVERED_CFLAGS)
tests_fuzz_fuzz_session_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_session_LDFLAGS = $(fuzz_ldflags) -Wl,--wrap=SSL_do_handshake \
	-Wl,--wrap=SSL_read -Wl,--wrap=SSL_write -Wl,--wrap=SSL_has_pending \
	-Wl,--wrap=SSL_get_error -Wl,--wrap=SSL_shutdown
tests_fuzz_fuzz_smtp_chunks_SOURCES = tests/fuzz/fuzz_smtp_chunks.c \
	tests/unit/chunks_model.h $(fuzz_driver)
tests_fuzz_fuzz_smtp_chunks_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_smtp_chunks_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_smtp_command_SOURCES = tests/fuzz/fuzz_smtp_command.c $(fuzz_driver)
tests_fuzz_fuzz_smtp_command_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_smtp_command_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_smtp_dots_SOURCES = tests/fuzz/fuzz_smtp_dots.c \
	tests/unit/dots_model.h $(fuzz_driver)
tests_fuzz_fuzz_smtp_dots_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_smtp_dots_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_smtp_ehlo_SOURCES = tests/fuzz/fuzz_smtp_ehlo.c $(fuzz_driver)
tests_fuzz_fuzz_smtp_ehlo_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_smtp_ehlo_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_smtp_header_SOURCES = tests/fuzz/fuzz_smtp_header.c $(fuzz_driver)
tests_fuzz_fuzz_smtp_header_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_smtp_header_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_smtp_reply_SOURCES = tests/fuzz/fuzz_smtp_reply.c $(fuzz_driver)
tests_fuzz_fuzz_smtp_reply_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_smtp_reply_LDFLAGS = $(fuzz_ldflags)
