# Unit tests. Most are one file against the library: LDADD and the source's
# name are automake's defaults. What needs more is said below the list.
LDADD = libportero.a $(CMOCKA_LIBS) $(CORE_LIBS)
unit_tests = \
	tests/unit/test_auth_file \
	tests/unit/test_board \
	tests/unit/test_buf \
	tests/unit/test_chain \
	tests/unit/test_channels \
	tests/unit/test_chunks \
	tests/unit/test_claim \
	tests/unit/test_clock \
	tests/unit/test_command \
	tests/unit/test_config_bad \
	tests/unit/test_config_files \
	tests/unit/test_config_load \
	tests/unit/test_config_read \
	tests/unit/test_config_value \
	tests/unit/test_control_wire \
	tests/unit/test_crowd \
	tests/unit/test_dots \
	tests/unit/test_dots_sse2 \
	tests/unit/test_dots_word \
	tests/unit/test_ehlo \
	tests/unit/test_hash \
	tests/unit/test_header \
	tests/unit/test_host \
	tests/unit/test_idmap \
	tests/unit/test_judge \
	tests/unit/test_ledger \
	tests/unit/test_lifeline \
	tests/unit/test_listener \
	tests/unit/test_log \
	tests/unit/test_login \
	tests/unit/test_login_cache \
	tests/unit/test_network \
	tests/unit/test_owed \
	tests/unit/test_params \
	tests/unit/test_passwd_file \
	tests/unit/test_plan \
	tests/unit/test_plugin \
	tests/unit/test_plugin_value \
	tests/unit/test_guard_spelling \
	tests/unit/test_policy_guard \
	tests/unit/test_policy_rate \
	tests/unit/test_policy_secrets \
	tests/unit/test_policy_sender \
	tests/unit/test_policy_size \
	tests/unit/test_proxy \
	tests/unit/test_question \
	tests/unit/test_queue \
	tests/unit/test_received \
	tests/unit/test_relay \
	tests/unit/test_relay_body \
	tests/unit/test_relay_loss \
	tests/unit/test_relay_map \
	tests/unit/test_relay_pool \
	tests/unit/test_relay_route \
	tests/unit/test_relay_access \
	tests/unit/test_relay_introduce \
	tests/unit/test_relay_tls \
	tests/unit/test_reply \
	tests/unit/test_role \
	tests/unit/test_sandbox \
	tests/unit/test_sasl \
	tests/unit/test_secret \
	tests/unit/test_shared \
	tests/unit/test_shares \
	tests/unit/test_shm \
	tests/unit/test_shm_table \
	tests/unit/test_store \
	tests/unit/test_store_memory \
	tests/unit/test_top \
	tests/unit/test_wire \
	tests/unit/test_worker
if HAVE_LDAP
unit_tests += \
	tests/unit/test_ldap_entry \
	tests/unit/test_ldap_names
endif
if HAVE_REDIS
unit_tests += \
	tests/unit/test_redis_command \
	tests/unit/test_redis_replies \
	tests/unit/test_store_redis
check_DATA = tests/unit/stand_clock.so
endif
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
EXTRA_DIST += tests/data/config

config_rig = tests/unit/config_rig.c tests/unit/config_rig.h
tests_unit_test_config_bad_SOURCES = tests/unit/test_config_bad.c $(config_rig)
tests_unit_test_config_files_SOURCES = tests/unit/test_config_files.c \
	$(config_rig)
tests_unit_test_config_load_SOURCES = tests/unit/test_config_load.c \
	$(config_rig)
tests_unit_test_config_read_SOURCES = tests/unit/test_config_read.c \
	$(config_rig)
tests_unit_test_policy_secrets_SOURCES = tests/unit/test_policy_secrets.c \
	$(config_rig)

pool_rig = tests/unit/pool_rig.c tests/unit/pool_rig.h
tests_unit_test_judge_SOURCES = tests/unit/test_judge.c $(pool_rig)
tests_unit_test_ledger_SOURCES = tests/unit/test_ledger.c $(pool_rig)

relay_rig = tests/unit/relay_rig.c tests/unit/relay_rig.h \
	tests/unit/fake_upstream.c tests/unit/fake_upstream.h
tests_unit_test_relay_SOURCES = tests/unit/test_relay.c $(relay_rig)
tests_unit_test_relay_body_SOURCES = tests/unit/test_relay_body.c $(relay_rig)
tests_unit_test_relay_loss_SOURCES = tests/unit/test_relay_loss.c $(relay_rig)
tests_unit_test_relay_pool_SOURCES = tests/unit/test_relay_pool.c $(relay_rig)
tests_unit_test_relay_route_SOURCES = tests/unit/test_relay_route.c $(relay_rig)
tests_unit_test_relay_introduce_SOURCES = tests/unit/test_relay_introduce.c \
	$(relay_rig)
tests_unit_test_relay_access_SOURCES = tests/unit/test_relay_access.c \
	$(relay_rig)
tests_unit_test_relay_tls_SOURCES = tests/unit/test_relay_tls.c $(relay_rig)

# Plugins are loaded from where libtool leaves them.
unit_plugin_dir = -DTEST_PLUGIN_DIR='"$(abs_top_builddir)/.libs"'
tests_unit_test_plugin_CPPFLAGS = $(AM_CPPFLAGS) $(unit_plugin_dir)
tests_unit_test_worker_CPPFLAGS = $(AM_CPPFLAGS) $(unit_plugin_dir)

# The plugins' files are compiled once more, without libtool (flags of their
# own, be they the same, make objects of their own).
fake_host = tests/unit/fake_host.c tests/unit/fake_host.h
tests_unit_test_auth_file_SOURCES = tests/unit/test_auth_file.c $(fake_host) \
	plugins/auth_file/auth_file.c plugins/auth_file/users.c \
	plugins/auth_file/users.h plugins/common/value.c plugins/common/value.h
tests_unit_test_auth_file_CFLAGS = $(AM_CFLAGS)
tests_unit_test_plugin_value_SOURCES = tests/unit/test_plugin_value.c \
	plugins/common/value.c plugins/common/value.h
tests_unit_test_plugin_value_CFLAGS = $(AM_CFLAGS)
tests_unit_test_policy_guard_SOURCES = tests/unit/test_policy_guard.c \
	$(fake_host) plugins/policy_guard/policy_guard.c \
	plugins/policy_guard/memory.c plugins/policy_guard/memory.h \
	plugins/policy_guard/spelling.c plugins/policy_guard/spelling.h
tests_unit_test_policy_guard_CFLAGS = $(AM_CFLAGS)
tests_unit_test_policy_guard_LDADD = $(LDADD) $(UNISTRING_LIBS)
tests_unit_test_guard_spelling_SOURCES = tests/unit/test_guard_spelling.c \
	plugins/policy_guard/spelling.c plugins/policy_guard/spelling.h
tests_unit_test_guard_spelling_CFLAGS = $(AM_CFLAGS)
tests_unit_test_guard_spelling_LDADD = $(CMOCKA_LIBS) $(UNISTRING_LIBS)
tests_unit_test_policy_rate_SOURCES = tests/unit/test_policy_rate.c \
	$(fake_host) plugins/policy_rate/policy_rate.c \
	plugins/common/value.c plugins/common/value.h
tests_unit_test_policy_rate_CFLAGS = $(AM_CFLAGS)
tests_unit_test_policy_sender_SOURCES = tests/unit/test_policy_sender.c \
	$(fake_host) plugins/policy_sender/policy_sender.c
tests_unit_test_policy_sender_CFLAGS = $(AM_CFLAGS)
tests_unit_test_policy_size_SOURCES = tests/unit/test_policy_size.c \
	$(fake_host) plugins/policy_size/policy_size.c
tests_unit_test_policy_size_CFLAGS = $(AM_CFLAGS)
tests_unit_test_store_memory_SOURCES = tests/unit/test_store_memory.c \
	$(fake_host) tests/unit/limit_model.c tests/unit/limit_model.h \
	tests/unit/store_suite.c tests/unit/store_suite.h \
	plugins/store_memory/store_memory.c \
	plugins/common/op.c plugins/common/op.h \
	plugins/store_memory/books.c plugins/store_memory/books.h \
	plugins/store_memory/counter.c plugins/store_memory/counter.h \
	plugins/store_memory/report.c plugins/store_memory/report.h
tests_unit_test_store_memory_CFLAGS = $(AM_CFLAGS)
# The server that preloads it is no program of ours: no flags of ours either.
tests/unit/stand_clock.so: tests/unit/stand_clock.c
	$(AM_V_CCLD)$(MKDIR_P) tests/unit && \
	  $(CC) -shared -fPIC -O2 -Wall -o $@ $<
CLEANFILES += tests/unit/stand_clock.so
EXTRA_DIST += tests/unit/stand_clock.c
tests_unit_test_redis_command_SOURCES = tests/unit/test_redis_command.c \
	plugins/store_redis/command.c plugins/store_redis/command.h
tests_unit_test_redis_command_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_test_redis_command_CFLAGS = $(AM_CFLAGS)
tests_unit_test_redis_replies_SOURCES = tests/unit/test_redis_replies.c \
	$(fake_host) $(store_redis_files)
nodist_tests_unit_test_redis_replies_SOURCES = plugins/store_redis/script.c
tests_unit_test_redis_replies_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_test_redis_replies_CFLAGS = $(AM_CFLAGS) $(HIREDIS_CFLAGS)
tests_unit_test_redis_replies_LDADD = $(LDADD) $(HIREDIS_LIBS)
tests_unit_test_store_redis_SOURCES = tests/unit/test_store_redis.c \
	$(fake_host) $(store_redis_files) \
	tests/unit/limit_model.c tests/unit/limit_model.h \
	tests/unit/redis_rig.c tests/unit/redis_rig.h \
	tests/unit/store_suite.c tests/unit/store_suite.h
nodist_tests_unit_test_store_redis_SOURCES = plugins/store_redis/script.c
tests_unit_test_store_redis_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir) \
	-DSTAND_CLOCK_SO='"$(abs_top_builddir)/tests/unit/stand_clock.so"'
tests_unit_test_store_redis_CFLAGS = $(AM_CFLAGS) $(HIREDIS_CFLAGS)
tests_unit_test_store_redis_LDADD = $(LDADD) $(HIREDIS_LIBS)
tests_unit_test_store_SOURCES = tests/unit/test_store.c \
	tests/unit/limit_model.c tests/unit/limit_model.h
tests_unit_test_ldap_names_SOURCES = tests/unit/test_ldap_names.c \
	plugins/auth_ldap/names.c plugins/auth_ldap/names.h
tests_unit_test_ldap_names_CFLAGS = $(AM_CFLAGS) $(LDAP_CFLAGS)
tests_unit_test_ldap_names_LDADD = $(CMOCKA_LIBS) $(LDAP_LIBS) \
	$(UNISTRING_LIBS)
tests_unit_test_ldap_entry_SOURCES = tests/unit/test_ldap_entry.c \
	plugins/auth_ldap/entry.c plugins/auth_ldap/entry.h \
	plugins/common/value.c plugins/common/value.h \
	plugins/auth_ldap/result.c plugins/auth_ldap/result.h
tests_unit_test_ldap_entry_CFLAGS = $(AM_CFLAGS) $(LDAP_CFLAGS)
tests_unit_test_ldap_entry_LDADD = $(CMOCKA_LIBS) $(LDAP_LIBS)

tests_unit_test_sasl_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=free
tests_unit_test_relay_access_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=free
# The data scan once more, in the ways that this machine does not choose.
tests_unit_test_chunks_SOURCES = tests/unit/test_chunks.c \
	tests/unit/chunks_model.h
tests_unit_test_dots_SOURCES = tests/unit/test_dots.c tests/unit/dots_model.h
tests_unit_test_dots_sse2_SOURCES = tests/unit/test_dots.c src/smtp/dots.c
tests_unit_test_dots_sse2_CPPFLAGS = $(AM_CPPFLAGS) -DSMTP_DOTS_ONLY_SSE2
tests_unit_test_dots_sse2_LDADD = $(CMOCKA_LIBS)
tests_unit_test_dots_word_SOURCES = tests/unit/test_dots.c src/smtp/dots.c
tests_unit_test_dots_word_CPPFLAGS = $(AM_CPPFLAGS) -DSMTP_DOTS_ONLY_WORDS
tests_unit_test_dots_word_LDADD = $(CMOCKA_LIBS)
