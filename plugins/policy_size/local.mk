plugin_LTLIBRARIES += policy_size.la
policy_size_la_SOURCES = plugins/policy_size/policy_size.c
policy_size_la_LDFLAGS = $(PLUGIN_LDFLAGS)
