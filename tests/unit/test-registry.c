/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "base/error.h"
#include "broker/stream/registry.h"
#include "interfaces/wire.h"
#include "tests/unit/test.h"

TEST(names_have_a_grammar) {
        static const struct {
                const char *name;
                bool valid;
        } rows[] = {
                { "a", true },    { "video0", true }, { "Front_Door-2.hd:raw", true }, { "0", true },
                { "-", true },    { "_", true },      { "caf\xc3\xa9", false },        { ".hidden", false },
                { ".", false },   { "a/b", false },   { "/", false },                  { "a b", false },
                { "a\n", false }, { "", false },      { "a*", false },                 { "../a", false },
                { "0123456789012345678901234567890123456789012345678901234567890123", true },
                { "01234567890123456789012345678901234567890123456789012345678901234", false },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                RegistryEntry e = { 0 };
                Registry r;

                ROW("\"%s\"", rows[i].name);
                registry_init(&r);
                CHECK_INT(registry_add(&r, &e, rows[i].name), rows[i].valid ? 0 : FB_E_INVALID_NAME);
                CHECK_INT(r.n, rows[i].valid);
        }
}

TEST(a_name_has_one_owner) {
        RegistryEntry a = { 0 }, b = { 0 }, c = { 0 };
        Registry r;

        registry_init(&r);
        CHECK(!registry_find(&r, "a"));
        CHECK_INT(registry_add(&r, &a, "a"), 0);
        CHECK_INT(registry_add(&r, &b, "a"), FB_E_NAME_TAKEN);
        CHECK_INT(registry_add(&r, &c, "A"), 0);
        CHECK_INT(r.n, 2);
        CHECK(registry_find(&r, "a") == &a);
        CHECK(registry_find(&r, "A") == &c);
        registry_remove(&r, &a);
        registry_remove(&r, &a);
        registry_remove(&r, &b);
        CHECK_INT(r.n, 1);
        CHECK(!registry_find(&r, "a"));
        CHECK_INT(registry_add(&r, &b, "a"), 0);
}

TEST(aliases) {
        const char *const two[] = { "usb-A", "pci-1", NULL }, *const other[] = { "usb-A", "pci-2", NULL };
        const char *const none[] = { NULL };
        RegistryEntry a = { 0 }, b = { 0 }, c = { 0 };
        Registry r;

        registry_init(&r);
        CHECK_INT(registry_add(&r, &a, "a"), 0);
        CHECK_INT(registry_add(&r, &b, "b"), 0);
        CHECK_INT(registry_set_aliases(&a, two), 1);
        CHECK_INT(registry_set_aliases(&a, two), 0);
        CHECK(registry_find(&r, "usb-A") == &a);
        CHECK(registry_find(&r, "pci-1") == &a);
        CHECK_INT(registry_add(&r, &c, "pci-1"), FB_E_NAME_TAKEN);
        CHECK_INT(registry_set_aliases(&b, other), 1);
        CHECK(!registry_find(&r, "usb-A")); /* which of them? */
        CHECK(registry_find(&r, "pci-2") == &b);
        CHECK_INT(registry_set_aliases(&a, none), 1);
        CHECK(registry_find(&r, "usb-A") == &b);
        CHECK_INT(registry_add(&r, &c, "pci-1"), 0); /* a name goes before an alias */
        CHECK_INT(registry_set_aliases(&a, two), 1);
        CHECK(registry_find(&r, "pci-1") == &c);
        registry_remove(&r, &b);
        CHECK(!b.aliases);
        CHECK(registry_find(&r, "usb-A") == &a);
        CHECK(!registry_find(&r, "pci-2"));
        registry_remove(&r, &a);
        CHECK(!registry_find(&r, "usb-A"));
        CHECK_INT(r.n, 1);
        registry_remove(&r, &c);
}

TEST_MAIN
