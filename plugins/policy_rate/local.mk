plugin_LTLIBRARIES += policy_rate.la
policy_rate_la_SOURCES = plugins/policy_rate/policy_rate.c \
	plugins/common/value.c plugins/common/value.h
policy_rate_la_LDFLAGS = $(PLUGIN_LDFLAGS)
