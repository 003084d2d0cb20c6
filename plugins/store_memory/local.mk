plugin_LTLIBRARIES += store_memory.la
store_memory_la_SOURCES = \
	plugins/store_memory/store_memory.c \
	plugins/common/op.c plugins/common/op.h \
	plugins/store_memory/books.c plugins/store_memory/books.h \
	plugins/store_memory/counter.c plugins/store_memory/counter.h \
	plugins/store_memory/report.c plugins/store_memory/report.h
store_memory_la_LDFLAGS = $(PLUGIN_LDFLAGS)
