/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The books of descriptors that are under way, against sockets that nobody reads. */
#include "base/error.h"
#include "broker/conduit/bus.h"
#include "broker/conduit/peer.h"
#include "tests/unit/channel-fixture.h"
#include "tests/unit/pair.h"

#define N_STOPPED 68

static unsigned n_frames; /* alive */

static void frame_gone(Frame *f, void *userdata) {
        n_frames--;
        free(f);
}

static const FrameHome frame_home = { frame_gone };

static Frame *frame_of(uint64_t seq, uint32_t n_fds) {
        Frame *f = frame_new(&frame_home, NULL);

        n_frames++;
        f->seq = seq;
        f->n_planes = 1;
        f->n_fds = n_fds;
        for (uint32_t i = 0; i < n_fds; i++)
                f->fds[i] = STDOUT_FILENO;
        return f;
}

typedef struct Peers {
        PeerBudget budget;
        Fixture channels[N_STOPPED];
        PeerConduit conduits[N_STOPPED];
        unsigned sent[N_STOPPED];
} Peers;

static Peers peers;

static bool peers_init(unsigned n) {
        char buffer[4096];
        PeerRefusal why;

        peers = (Peers){ 0 };
        peer_budget_init(&peers.budget, 7);
        for (unsigned i = 0; i < n; i++) {
                if (!fixture_init(&peers.channels[i]) || !handshake(&peers.channels[i]))
                        return false;
                settle(&peers.channels[i]);
                (void)read_all(&peers.channels[i], buffer, sizeof buffer);
                if (peer_conduit_init(&peers.conduits[i], &peers.budget, 7, peers.channels[i].channel,
                                      channel_get_bus(peers.channels[0].channel), &why) != 0)
                        return false;
        }
        return true;
}

static void peers_deinit(unsigned n) {
        for (unsigned i = 0; i < n; i++)
                peer_conduit_deinit(&peers.conduits[i]);
        CHECK_INT(peer_books_get_committed(&peers.budget.books), 0);
        CHECK(list_is_empty(&peers.budget.seats));
        for (unsigned i = n; i-- > 0;) /* the first made the messages */
                fixture_deinit(&peers.channels[i]);
}

static int offer(unsigned i, Frame *f) {
        Conduit *c = &peers.conduits[i].conduit;
        uint64_t cookie = 77;
        int r = c->ops->check_room(c, f->n_fds);

        if (r < 0)
                return r;
        r = c->ops->send_frame(c, f, 0, &cookie);
        CHECK(r >= 0);
        CHECK_INT(cookie, 0);
        peers.sent[i]++;
        return 0;
}

/* Reads bytes and descriptors, and counts the descriptors. */
static unsigned read_fds(int fd) {
        unsigned n = 0;

        for (;;) {
                union {
                        char buffer[CMSG_SPACE(32 * sizeof(int))];
                        struct cmsghdr align;
                } control;
                char data[65536];
                struct iovec iov = { data, sizeof data };
                struct msghdr m = { .msg_iov = &iov,
                                    .msg_iovlen = 1,
                                    .msg_control = &control,
                                    .msg_controllen = sizeof control };

                if (recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
                        return n;
                for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
                        unsigned count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

                        for (unsigned i = 0; i < count; i++) {
                                int got;

                                memcpy(&got, CMSG_DATA(c) + i * sizeof got, sizeof got);
                                close(got);
                        }
                        n += count;
                }
        }
}

TEST(all_peers_together_hold_a_bounded_number_of_descriptors) {
        unsigned total = 0, refused = 0;

        REQUIRE(peers_init(N_STOPPED));
        for (uint64_t seq = 1; seq <= 16; seq++) {
                Frame *f = frame_of(seq, 1);

                for (unsigned i = 1; i < N_STOPPED; i++)
                        refused += offer(i, f) == -EAGAIN;
                frame_unref(f);
        }
        for (unsigned i = 0; i < N_STOPPED; i++)
                total += peers.sent[i];
        CHECK_INT(total + refused, 16 * (N_STOPPED - 1));
        CHECK(total <= FB_PEER_FDS_MAX);
        CHECK(total >= FB_PEER_FDS_MAX / 2);
        CHECK_INT(n_frames, 0);

        /* who reads gets all frames, whatever the others leave lying */
        for (uint64_t seq = 17; seq < 117; seq++) {
                Frame *f = frame_of(seq, 1);

                CHECK_INT(offer(0, f), 0);
                frame_unref(f);
                CHECK_INT(read_fds(peers.channels[0].peer), 1);
        }
        peers_deinit(N_STOPPED);
}

/* Who was granted a window may leave it unread for a while, time and again, though the books run behind. */
TEST(a_late_reader_has_room_for_its_window) {
        REQUIRE(peers_init(2));
        for (uint64_t round = 0; round < 20; round++) {
                for (uint64_t seq = 1; seq <= FB_WINDOW_MAX; seq++) {
                        Frame *f = frame_of(round * FB_WINDOW_MAX + seq, 1);

                        CHECK_INT(offer(0, f), 0);
                        CHECK_INT(offer(1, f), 0);
                        frame_unref(f);
                }
                CHECK_INT(read_fds(peers.channels[0].peer), FB_WINDOW_MAX);
                CHECK_INT(read_fds(peers.channels[1].peer), FB_WINDOW_MAX);
        }
        peers_deinit(2);
}

/* What is to be there at once leaves while the kernel takes it, and then not at all. */
TEST(at_once_or_not_at_all) {
        Channel *channel;
        unsigned n = 0;
        Frame *f;

        REQUIRE(peers_init(1));
        channel = peers.channels[0].channel;
        peer_conduit_send_at_once(&peers.conduits[0]);
        for (uint64_t seq = 1; seq <= 200; seq++) {
                f = frame_of(seq, 1);
                if (offer(0, f) == 0) {
                        n++;
                        CHECK(conduit_send_committed(&peers.conduits[0].conduit, seq) >= 0);
                }
                CHECK_INT(channel_get_n_unsent(channel), 0);
                frame_unref(f);
        }
        CHECK(n >= FB_WINDOW_MAX);
        CHECK(n < 100);
        CHECK_INT(read_fds(peers.channels[0].peer), n);
        f = frame_of(201, 1);
        CHECK_INT(offer(0, f), 0);
        CHECK_INT(channel_get_n_unsent(channel), 0);
        frame_unref(f);
        peers_deinit(1);
}

/* One message for all: the descriptors are duplicated once a frame. */
TEST(a_frame_is_encoded_once) {
        Frame *f = frame_of(1, 4);
        void *encoded;
        int before, after;

        REQUIRE(peers_init(3));
        before = test_count_fds();
        CHECK_INT(offer(0, f), 0);
        encoded = f->encoded;
        CHECK(encoded);
        CHECK_INT(offer(1, f), 0);
        CHECK_INT(offer(2, f), 0);
        CHECK(f->encoded == encoded);
        after = test_count_fds();
        CHECK_INT(after - before, 4);
        for (unsigned i = 0; i < 3; i++)
                CHECK_INT(read_fds(peers.channels[i].peer), 4);
        frame_unref(f);
        CHECK_INT(n_frames, 0);
        CHECK_INT(test_count_fds(), before);
        peers_deinit(3);
}

TEST(a_socket_without_room_is_no_error) {
        sd_bus_message *m = NULL;
        char text[1000];
        Frame *f;

        REQUIRE(peers_init(1));
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = 0;
        while (channel_get_n_unsent(peers.channels[0].channel) == 0) {
                Conduit *c = &peers.conduits[0].conduit;

                REQUIRE(c->ops->new_signal(c, "Lost", &m) >= 0);
                CHECK(sd_bus_message_append(m, "s", text) >= 0);
                CHECK(c->ops->send(c, m) >= 0);
                m = sd_bus_message_unref(m);
        }
        f = frame_of(1, 1);
        CHECK_INT(offer(0, f), -EAGAIN);
        frame_unref(f);
        peers_deinit(1);
}

static int send_on(BusConduit *b, Frame *f) {
        Conduit *c = &b->conduit;
        uint64_t cookie = 0;
        int r = c->ops->check_room(c, f->n_fds);

        if (r < 0)
                return r;
        r = c->ops->send_frame(c, f, 0, &cookie);
        CHECK(r >= 0);
        CHECK(cookie > 0);
        return 0;
}

typedef struct Receivers {
        FdLedger ledger;
        FdAccount accounts[4];
        BusConduit conduits[4];
} Receivers;

static Receivers receivers;

static void receivers_init(void) {
        receivers = (Receivers){ 0 };
        fd_ledger_init(&receivers.ledger, 0);
        for (unsigned i = 0; i < FB_ELEMENTSOF(receivers.accounts); i++)
                fd_account_open(&receivers.accounts[i], &receivers.ledger, 0);
}

static int subscribe(unsigned i, sd_bus *bus, uint32_t window) {
        FdRefusal why;

        return bus_conduit_init(&receivers.conduits[i], bus, &receivers.accounts[i], ":1.7", "/x", window,
                                &why);
}

static int set_window(unsigned i, uint32_t window) {
        FdRefusal why;

        return bus_conduit_set_window(&receivers.conduits[i], window, &why);
}

TEST(windows_on_the_bus_are_bounded_together) {
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        receivers_init();
        for (unsigned i = 0; i < 3; i++)
                CHECK_INT(subscribe(i, p.client, 16), 0);
        CHECK_INT(subscribe(3, p.client, 1), FB_E_LIMIT);
        CHECK_INT(receivers.ledger.windows, FB_BUS_FDS_MAX);
        CHECK_INT(set_window(0, 15), 0);
        CHECK_INT(subscribe(3, p.client, 2), FB_E_LIMIT);
        CHECK_INT(subscribe(3, p.client, 1), 0);
        CHECK_INT(set_window(3, 2), FB_E_LIMIT);
        for (unsigned i = 0; i < 4; i++)
                bus_conduit_deinit(&receivers.conduits[i]);
        CHECK_INT(receivers.ledger.windows, 0);
        bus_conduit_deinit(&receivers.conduits[0]);
        CHECK_INT(receivers.ledger.committed, 0);
}

/* What leaves is on the receiver's account until it is proven read, also when the conduit is gone. */
TEST(descriptors_on_the_bus_are_bounded_together) {
        Frame *f = frame_of(1, 4);
        _cleanup_pair_ Pair p;
        unsigned n = 0;

        REQUIRE(pair_init(&p));
        receivers_init();
        CHECK_INT(subscribe(0, p.client, 16), 0);
        CHECK_INT(subscribe(1, p.client, 16), 0);
        while (n < 100 && send_on(&receivers.conduits[n % 2], f) == 0)
                n++;
        CHECK_INT(n, 2 * 16 / 4);
        CHECK_INT(send_on(&receivers.conduits[0], f), -EAGAIN);
        fd_account_prove(&receivers.accounts[1], 4);
        CHECK_INT(send_on(&receivers.conduits[0], f), -EAGAIN);
        CHECK_INT(send_on(&receivers.conduits[1], f), 0);
        bus_conduit_deinit(&receivers.conduits[1]);
        CHECK_INT(fd_account_outstanding(&receivers.accounts[1]), 16);
        bus_conduit_deinit(&receivers.conduits[0]);
        CHECK_INT(receivers.ledger.windows, 0);
        CHECK_INT(receivers.ledger.committed, 2 * 17);
        for (unsigned i = 0; i < 2; i++)
                fd_account_close(&receivers.accounts[i]);
        CHECK_INT(receivers.ledger.committed, 0);
        frame_unref(f);
}

TEST(notices_have_their_signatures) {
        static const Mode mode = { 1, .width = 2, .height = 3, .rate = { 4, 5 } };
        Conduit *c = &receivers.conduits[0].conduit;
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        receivers_init();
        CHECK_INT(subscribe(0, p.client, 1), 0);
        CHECK(conduit_send_format(c, 1, 2, &mode) >= 0);
        CHECK(conduit_send_lost(c, 3, "rate") >= 0);
        CHECK(conduit_send_suspended(c, "no-release") >= 0);
        CHECK(conduit_send_resumed(c) >= 0);
        CHECK(conduit_send_ended(c, 4, "destroyed") >= 0);
        CHECK(conduit_send_committed(c, 4) >= 0);
        CHECK(conduit_send_commits_moved(c, "/a") >= 0);
        bus_conduit_deinit(&receivers.conduits[0]);
}

TEST_MAIN
