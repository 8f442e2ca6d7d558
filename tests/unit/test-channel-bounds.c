/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What waits in a channel, and channels at both ends. */
#include "tests/unit/channel-fixture.h"

static sd_bus_message *signal_new(Channel *c, size_t bytes) {
        _cleanup_free_ char *text = calloc(1, bytes + 1);
        sd_bus_message *m = NULL;

        memset(text, 'x', bytes);
        if (sd_bus_message_new_signal(channel_get_bus(c), &m, "/test", "org.framebus.Test", "Signal") < 0 ||
            sd_bus_message_append(m, "s", text) < 0)
                return NULL;
        return m;
}

TEST(what_waits_unsent_is_bounded) {
        _cleanup_fixture_ Fixture f;
        char buffer[65536];
        unsigned n = 0;
        int r = 0;

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        settle(&f);
        CHECK(read_all(&f, buffer, sizeof buffer) > 0);
        CHECK(channel_is_drained(f.channel));
        for (; n < 5000 && r >= 0; n++) {
                sd_bus_message *m = signal_new(f.channel, 1000);

                REQUIRE(m);
                r = channel_send(f.channel, m);
                sd_bus_message_unref(m);
        }
        CHECK_INT(r, -EXFULL);
        CHECK(n > FB_CONTROL_QUEUE_MAX && n < 1000); /* the socket's own buffer is small */
        CHECK(channel_get_n_unsent(f.channel) >= FB_CONTROL_QUEUE_MAX);
        CHECK(channel_get_n_unsent(f.channel) <= FB_CONTROL_QUEUE_MAX + 1);
        CHECK(!channel_is_drained(f.channel));
        CHECK_INT(f.n_closed, 0); /* the owner decides */

        /* read on, and all of it goes out */
        for (int i = 0; i < 100 && !channel_is_drained(f.channel); i++) {
                while (read_all(&f, buffer, sizeof buffer) > 0)
                        ;
                settle(&f);
        }
        CHECK(channel_is_drained(f.channel));
        CHECK_INT(channel_get_n_unsent(f.channel), 0);
}

TEST(unread_is_not_drained) {
        _cleanup_fixture_ Fixture f;
        sd_bus_message *m;
        char buffer[4096];

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        settle(&f);
        CHECK(read_all(&f, buffer, sizeof buffer) > 0);
        m = signal_new(f.channel, 10);
        CHECK(channel_send(f.channel, m) >= 0);
        sd_bus_message_unref(m);
        CHECK_INT(channel_get_n_unsent(f.channel), 0);
        CHECK(!channel_is_drained(f.channel));
        CHECK(read_all(&f, buffer, sizeof buffer) > 0);
        CHECK(channel_is_drained(f.channel));
}

/* Without this a client that is sending loses what was sent to it last. */
TEST(what_was_sent_last_can_be_read_by_a_client_that_is_sending) {
        char buffer[4096], call[256] = { 0 };
        size_t n = put_call(call, 1);
        _cleanup_fixture_ Fixture f;
        sd_bus_message *m;

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        settle(&f);
        CHECK(read_all(&f, buffer, sizeof buffer) > 0);
        CHECK(write_all(&f, call, n)); /* nobody will read it */
        m = signal_new(f.channel, 10);
        CHECK(channel_send(f.channel, m) >= 0);
        sd_bus_message_unref(m);
        channel_finish(f.channel);
        CHECK(!channel_is_open(f.channel));
        CHECK(write_all(&f, call, n)); /* no EPIPE */
        settle(&f);
        CHECK(write_all(&f, call, n));
        CHECK(!channel_is_drained(f.channel)); /* still on the books */
        CHECK(memmem(buffer, read_all(&f, buffer, sizeof buffer), "xxxxxxxxxx", 11));
        CHECK(channel_is_drained(f.channel));
        CHECK_INT(read(f.peer, buffer, sizeof buffer), 0);
        settle(&f);
        CHECK_INT(f.n_closed, 0);
        f.peer = fb_close(f.peer);
        CHECK(reaches(&f, &f.n_closed, 1));
}

/* Who calls and never reads the answers is closed; what it costs is bounded. */
TEST(unread_replies_close) {
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        f.reply_bytes = 2000;
        REQUIRE(handshake(&f));
        for (uint32_t i = 1; i < 5000 && f.n_closed == 0; i++) {
                char call[256] = { 0 };
                size_t n = put_call(call, i);

                (void)!write(f.peer, call, n);
                settle(&f);
        }
        CHECK(reaches(&f, &f.n_closed, 1));
        CHECK(f.n_calls < 1000);
        f.peer = fb_close(f.peer); /* a hang-up is no second closing */
        settle(&f);
        CHECK_INT(f.n_closed, 1);
}

typedef struct Client {
        Channel *channel;
        unsigned n_opened, n_closed, n_signals;
        int fd;
} Client;

static int client_on_signal(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Client *c = userdata;
        int fd;

        if (sd_bus_message_read(m, "h", &fd) > 0)
                c->fd = fd_dup_cloexec(fd);
        c->n_signals++;
        return 0;
}

static int client_on_setup(Channel *channel, sd_bus *bus, void *userdata) {
        return sd_bus_match_signal(bus, NULL, NULL, "/test", "org.framebus.Test", "Signal", client_on_signal,
                                   userdata);
}

static void client_on_opened(Channel *channel, void *userdata) {
        ((Client *)userdata)->n_opened++;
}

static void client_on_closed(Channel *channel, void *userdata) {
        ((Client *)userdata)->n_closed++;
}

static const ChannelHandler client_handler = { client_on_setup, client_on_opened, client_on_closed };

TEST(both_ends_are_channels) {
        Client client = { .fd = -1 };
        sd_bus_message *m = NULL;
        _cleanup_fixture_ Fixture f;
        int fd;

        REQUIRE(fixture_init(&f));
        fd = f.peer;
        f.peer = -1;
        REQUIRE_INT(channel_new_client(f.event, fd, 0, &client_handler, &client, &client.channel), 0);
        CHECK(reaches(&f, &client.n_opened, 1));
        CHECK(reaches(&f, &f.n_opened, 1));
        CHECK(channel_can_pass_fds(f.channel));
        CHECK(channel_can_pass_fds(client.channel));

        REQUIRE(sd_bus_message_new_signal(channel_get_bus(f.channel), &m, "/test", "org.framebus.Test",
                                          "Signal") >= 0);
        CHECK(sd_bus_message_append(m, "h", STDOUT_FILENO) >= 0);
        CHECK(channel_send(f.channel, m) >= 0);
        sd_bus_message_unref(m);
        CHECK(reaches(&f, &client.n_signals, 1));
        CHECK(client.fd >= 3 && fcntl(client.fd, F_GETFD) >= 0);
        fb_close(client.fd);

        f.channel = channel_free(f.channel);
        CHECK(reaches(&f, &client.n_closed, 1));
        settle(&f);
        CHECK_INT(client.n_closed, 1);
        channel_free(client.channel);
}

TEST_MAIN
