/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "tests/unit/pair.h"
#include "wire/keep.h"

static unsigned count_fds(void) {
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        while (d && readdir(d))
                n++;
        closedir(d);
        return n;
}

typedef struct Server {
        sd_bus_message *kept;
        int r;
} Server;

/* Keeps a call, with a sender as a bus would have said it. */
static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Server *s = userdata;

        if (!sd_bus_message_is_method_call(m, "org.framebus.Test", NULL))
                return 0;
        s->r = message_keep(m, &s->kept);
        return 1;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *text;

        if (sd_bus_message_read(m, "s", &text) > 0)
                *(bool *)userdata = strcmp(text, "well") == 0;
        return 1;
}

static sd_bus_message *call_new(Pair *p) {
        sd_bus_message *m = NULL;

        if (sd_bus_message_new_method_call(p->client, &m, NULL, "/test", "org.framebus.Test", "Attach") < 0 ||
            sd_bus_message_set_sender(m, ":1.7") < 0)
                return NULL;
        return m;
}

static void turn(Pair *p) {
        for (int i = 0; i < 100; i++) {
                (void)sd_bus_process(p->client, NULL);
                (void)sd_bus_process(p->server, NULL);
        }
}

/* All that is in it, and an answer to the copy is one to the call. */
TEST(a_copy_is_as_good) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        _cleanup_pair_ Pair p;
        sd_bus_message *m;
        const char *text, *key;
        Server s = { .r = -1 };
        bool answered = false;
        int fd, number;

        REQUIRE(pair_init(&p));
        REQUIRE(sd_bus_add_filter(p.server, NULL, on_call, &s) >= 0);
        m = call_new(&p);
        REQUIRE(m);
        REQUIRE(sd_bus_message_append(m, "sha{sv}(ub)", "text", STDIN_FILENO, 1, "key", "aa{sv}", 1, 1, "a",
                                      "t", UINT64_C(1) << 40, 7u, 1) >= 0);
        REQUIRE(sd_bus_call_async(p.client, &slot, m, on_reply, &answered, 0) >= 0);
        sd_bus_message_unref(m);
        turn(&p);
        REQUIRE_INT(s.r, 0);
        CHECK_STR(sd_bus_message_get_sender(s.kept), ":1.7");
        CHECK_STR(sd_bus_message_get_path(s.kept), "/test");
        CHECK(sd_bus_message_is_method_call(s.kept, "org.framebus.Test", "Attach"));
        CHECK_STR(sd_bus_message_get_signature(s.kept, 1), "sha{sv}(ub)");
        CHECK(sd_bus_message_get_expect_reply(s.kept) > 0);
        REQUIRE(sd_bus_message_read(s.kept, "sh", &text, &fd) > 0);
        CHECK_STR(text, "text");
        CHECK(fcntl(fd, F_GETFD) >= 0);
        REQUIRE(sd_bus_message_enter_container(s.kept, 'a', "{sv}") > 0);
        REQUIRE(sd_bus_message_enter_container(s.kept, 'e', "sv") > 0);
        REQUIRE(sd_bus_message_read(s.kept, "s", &key) > 0);
        CHECK_STR(key, "key");
        REQUIRE(sd_bus_message_skip(s.kept, "v") >= 0);
        REQUIRE(sd_bus_message_exit_container(s.kept) >= 0 && sd_bus_message_exit_container(s.kept) >= 0);
        REQUIRE(sd_bus_message_read(s.kept, "(ub)", &number, NULL) > 0);
        CHECK_INT(number, 7);
        CHECK(sd_bus_reply_method_return(s.kept, "s", "well") >= 0);
        turn(&p);
        CHECK(answered);
        sd_bus_message_unref(s.kept);
}

/* An empty one, too, and one that wants no answer. */
TEST(nothing_in_it) {
        _cleanup_pair_ Pair p;
        Server s = { .r = -1 };
        sd_bus_message *m;

        REQUIRE(pair_init(&p));
        REQUIRE(sd_bus_add_filter(p.server, NULL, on_call, &s) >= 0);
        m = call_new(&p);
        REQUIRE(m && sd_bus_message_set_expect_reply(m, 0) >= 0 && sd_bus_send(p.client, m, NULL) >= 0);
        sd_bus_message_unref(m);
        turn(&p);
        REQUIRE_INT(s.r, 0);
        CHECK_INT(sd_bus_message_get_expect_reply(s.kept), 0);
        CHECK(sd_bus_message_is_empty(s.kept) > 0);
        sd_bus_message_unref(s.kept);
}

/* Its descriptors go with it; the copy has the one that it names, of its own. */
TEST(descriptors) {
        unsigned before, with;
        _cleanup_pair_ Pair p;
        Server s = { .r = -1 };
        sd_bus_message *m;

        REQUIRE(pair_init(&p));
        REQUIRE(sd_bus_add_filter(p.server, NULL, on_call, &s) >= 0);
        before = count_fds();
        m = call_new(&p);
        REQUIRE(m && sd_bus_message_append(m, "h", STDIN_FILENO) >= 0 && sd_bus_send(p.client, m, NULL) >= 0);
        sd_bus_message_unref(m);
        turn(&p);
        REQUIRE_INT(s.r, 0);
        with = count_fds();
        CHECK_INT(with, before + 1);
        sd_bus_message_unref(s.kept);
        CHECK_INT(count_fds(), before);
}

TEST(large_ones) {
        static const struct {
                size_t text, n;
                int expected;
        } rows[] = {
                { KEEP_BYTES_MAX - 200, 1, 0 },
                { KEEP_BYTES_MAX, 1, FB_E_LIMIT },
                { 1, KEEP_BYTES_MAX / 32, 0 },
                { 1, KEEP_BYTES_MAX / 8, FB_E_LIMIT },
        };
        _cleanup_free_ char *text = malloc(KEEP_BYTES_MAX + 1);
        _cleanup_pair_ Pair p;

        REQUIRE(text && pair_init(&p));
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
                sd_bus_message *m = call_new(&p);
                Server s = { .r = -1 };

                memset(text, 'x', rows[i].text);
                text[rows[i].text] = '\0';
                REQUIRE(m && sd_bus_message_open_container(m, 'a', "s") >= 0);
                for (size_t k = 0; k < rows[i].n; k++)
                        REQUIRE(sd_bus_message_append(m, "s", text) >= 0);
                REQUIRE(sd_bus_message_close_container(m) >= 0 &&
                        sd_bus_add_filter(p.server, &slot, on_call, &s) >= 0);
                REQUIRE(sd_bus_send(p.client, m, NULL) >= 0);
                sd_bus_message_unref(m);
                turn(&p);
                ROW("%zu of %zu bytes", rows[i].n, rows[i].text);
                CHECK_INT(s.r, rows[i].expected);
                CHECK(!s.kept == (rows[i].expected != 0));
                sd_bus_message_unref(s.kept);
        }
}

TEST_MAIN
