# Plugins that only tests use. -rpath makes libtool build a shared object.
check_LTLIBRARIES += fault_policy.la fault_auth.la bad_table.la \
	outcome_policy.la
fault_policy_la_SOURCES = tests/plugins/fault_policy.c tests/plugins/fault.h
fault_policy_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath $(plugindir)
fault_auth_la_SOURCES = tests/plugins/fault_auth.c tests/plugins/fault.h
fault_auth_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath $(plugindir)
bad_table_la_SOURCES = tests/plugins/bad_table.c
bad_table_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath $(plugindir)
outcome_policy_la_SOURCES = tests/plugins/outcome_policy.c
outcome_policy_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath $(plugindir)
