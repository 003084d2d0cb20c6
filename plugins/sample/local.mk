plugin_LTLIBRARIES += sample.la
sample_la_SOURCES = plugins/sample/sample.c
sample_la_LDFLAGS = $(PLUGIN_LDFLAGS)
EXTRA_DIST += plugins/sample/Makefile

# As a plugin's author builds it: elsewhere, against the header alone.
check_SCRIPTS += tests/plugins/out_of_tree
TESTS += tests/plugins/out_of_tree
EXTRA_DIST += tests/plugins/out_of_tree
