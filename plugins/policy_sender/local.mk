plugin_LTLIBRARIES += policy_sender.la
policy_sender_la_SOURCES = plugins/policy_sender/policy_sender.c
policy_sender_la_LDFLAGS = $(PLUGIN_LDFLAGS)
