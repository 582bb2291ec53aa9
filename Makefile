# usermgmt: user management inside PostgreSQL, and a mail relay.
#
# ROOMS is the table of contents: the install script is the rooms' SQL in this
# order, and a room uses only rooms before it.

ROOMS = core token audit outbox tenant account password session workspace member invitation template attach history report check facade

EXTENSION = usermgmt
RELEASE := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(dir $(abspath $(lastword $(MAKEFILE_LIST))))usermgmt.control)
MODULE_big = usermgmt
OBJS = $(patsubst %.c,%.o,$(wildcard $(ROOMS:%=src/%/*.c)))
SCRIPT = usermgmt--$(RELEASE).sql
DATA_built = $(SCRIPT)
DOCS = docs/psqlrc
REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
ISOLATION = fresh $(filter-out fresh,$(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl

PG_CPPFLAGS = -I$(srcdir)/src $(shell pkg-config --cflags libsodium)
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
SHLIB_LINK = $(shell pkg-config --libs libsodium) -Wl,-Bsymbolic

# STRICT=1 is what the tests build with: warnings are errors, assertions run.
ifdef STRICT
PG_CFLAGS += -Werror
PG_CPPFLAGS += -DUSE_ASSERT_CHECKING
endif

EXTRA_CLEAN = $(SCRIPT) src/password/common_passwords.inc src/relay/*.o src/relay/usermgmt-relay

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS): $(wildcard src/*/*.h)

# The list of common passwords, as the library holds it.
src/password/common_passwords.inc: src/password/common_passwords.txt src/password/common_passwords.awk
	LC_ALL=C awk -f $(srcdir)/src/password/common_passwords.awk $< > $@
src/password/common.o: src/password/common_passwords.inc

# The shipped templates of mails, as rows.
MAIL = $(srcdir)/src/template/mail
MAILS = $(MAIL)/layout.html $(sort $(wildcard $(MAIL)/*/words)) $(sort $(wildcard $(MAIL)/*/*.mail))

# One file each, in order; \quit keeps psql from running the script directly.
$(SCRIPT): $(ROOMS:%=src/%/*.sql) $(MAILS) src/template/mail.awk Makefile usermgmt.control
	{ printf '%s\n' '\echo Use "CREATE EXTENSION usermgmt" to load this file. \quit'; \
	  for room in $(ROOMS); do cat $(srcdir)/src/$$room/$$room.sql || exit 1; done; \
	  LC_ALL=C awk -f $(srcdir)/src/template/mail.awk $(MAILS) || exit 1; \
	  cat $(srcdir)/src/core/finish.sql; } > $@

all: relay ## the extension and the relay
relay: ## the mail relay alone
	$(MAKE) -C src/relay PG_CONFIG=$(PG_CONFIG)
install: install-relay
install-relay: relay
	$(MAKE) -C src/relay install PG_CONFIG=$(PG_CONFIG) DESTDIR=$(DESTDIR)
uninstall: uninstall-relay
uninstall-relay:
	$(MAKE) -C src/relay uninstall DESTDIR=$(DESTDIR)
	rm -f $(addprefix '$(DESTDIR)$(docdir)/$(docmoduledir)'/, $(notdir $(DOCS)))
clean: clean-relay
clean-relay:
	$(MAKE) -C src/relay clean

demo: ## play the story on a throw-away cluster
	./run demo
test: ## build with warnings as errors and run every test
	./run test
format: ## format the C sources
	clang-format -i src/*/*.c src/*/*.h
format-check: ## fail when a C source is not formatted
	clang-format --dry-run -Werror src/*/*.c src/*/*.h
matrix: ## renew docs/permissions.md from what every call answers
	./run test permissions || cp .build/results/permissions.md docs/permissions.md
screenshots: ## every mail in Chromium, from the database that PGHOST and PGDATABASE name
	test/mail/screenshots.sh screenshots
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16
dist: ## the release archive
	git archive --format zip --prefix=usermgmt-$(RELEASE)/ -o usermgmt-$(RELEASE).zip HEAD
.PHONY: screenshots relay install-relay clean-relay demo test format format-check matrix help dist
