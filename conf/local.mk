dist_doc_DATA = conf/portero.conf
dist_pkgdata_DATA = conf/portero.schema conf/portero.ldif
sysusersdir = $(prefix)/lib/sysusers.d
unitdir = $(prefix)/lib/systemd/system
sysusers_DATA = conf/portero-sysusers.conf
unit_DATA = conf/portero.service
EXTRA_DIST += conf/portero.service.in conf/portero.sysusers
CLEANFILES += conf/portero.service conf/portero-sysusers.conf

conf/portero.service: conf/portero.service.in Makefile
	@$(MKDIR_P) conf
	$(AM_V_GEN)sed -e 's,[@]sbindir[@],$(sbindir),' -e 's,[@]bindir[@],$(bindir),' \
	  $(srcdir)/conf/portero.service.in >$@.new && mv $@.new $@
# systemd wants the suffix
conf/portero-sysusers.conf: conf/portero.sysusers
	@$(MKDIR_P) conf
	$(AM_V_GEN)cp $(srcdir)/conf/portero.sysusers $@
