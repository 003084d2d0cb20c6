dist_man_MANS += doc/portero-plugin.3 doc/porteroctl.8 doc/porterod.8
man_MANS = doc/portero.conf.5
EXTRA_DIST += doc/portero.conf.5.in doc/test-manuals doc/conformance.md
CLEANFILES += doc/portero.conf.5

# The options of the core and of the plugins, as their parser knows them.
EXTRA_PROGRAMS += doc/manual
CLEANFILES += doc/manual
doc_manual_SOURCES = doc/manual.c
doc_manual_LDADD = libportero.a $(CORE_LIBS)
doc/portero.conf.5: doc/portero.conf.5.in doc/manual $(plugin_LTLIBRARIES)
	$(AM_V_GEN)doc/manual $(srcdir)/doc/portero.conf.5.in \
	  $(plugin_LTLIBRARIES:%.la=.libs/%.so) >$@.new && mv $@.new $@

TESTS += doc/test-manuals
