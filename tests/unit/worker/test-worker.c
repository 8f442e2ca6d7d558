/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Workers with real programs. Times are checked from below to the millisecond, from above generously. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/error.h"
#include "rig.h"

#define CHECK_MS(ns, least, most)  CHECK((ns) >= (least)*NSEC_PER_MSEC && (ns) <= (most)*NSEC_PER_MSEC)
#define CHECK_AT_MOST_MS(ns, most) CHECK((ns) <= (most)*NSEC_PER_MSEC)

/* The pid that a script wrote into its channel. */
static pid_t rig_wait_pid(Rig *rig) {
        uint64_t end_ns = clock_now_ns() + 5 * NSEC_PER_SEC;

        while (!strchr(rig->read, '\n') && clock_now_ns() < end_ns)
                if (sd_event_run(rig->event, 100000) < 0)
                        break;
        return atoi(rig->read);
}

static bool pid_is_gone(pid_t pid) {
        return kill(pid, 0) < 0 && errno == ESRCH;
}

static void rig_run_until_gone(Rig *rig, pid_t pid, unsigned ms) {
        for (unsigned i = 0; i < ms / 20 && !pid_is_gone(pid); i++)
                rig_run_ms(rig, 20);
}

TEST(worker_says_how_a_program_ended) {
        static const struct {
                const char *script, *reason;
        } table[] = {
                { "exit 0", "sh exited with status 0" },
                { "exit 7", "sh exited with status 7" },
                { "kill -SEGV $$", "sh was killed by signal SEGV" },
                { "exec 3>&-; exit 1", "sh exited with status 1" },
                { "exec /bin/false", "sh exited with status 1" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                Rig rig;

                ROW("%s", table[i].script);
                rig_begin_shell(&rig, table[i].script);
                CHECK_INT(worker_start(rig.worker), 0);
                CHECK_INT(rig.n_connected, 0); /* not from inside */
                CHECK(rig_wait(&rig, &rig.n_ended, 1));
                CHECK_INT(rig.n_connected, 1);
                CHECK_STR(rig.reason, table[i].reason);
                CHECK_AT_MOST_MS(rig.ended_ns - rig.connected_ns, 900);
                CHECK_MS(rig.retry_ns, 51, 100);
                rig_end(&rig);
        }
}

TEST(worker_says_what_cannot_be_run) {
        static const struct {
                const char *program, *reason;
        } table[] = {
                { "/nonexistent/prog", "cannot run prog: No such file or directory" },
                { "/etc/passwd", "cannot run passwd: Permission denied" },
                { "framebus-nonexistent",
                 "cannot run framebus-nonexistent: No such file or directory" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                Rig rig;

                ROW("%s", table[i].program);
                rig_begin_argv(&rig, (const char *[]){table[i].program, NULL});
                CHECK_INT(worker_start(rig.worker), 0);
                CHECK_INT(rig.n_ended, 0);
                CHECK(rig_wait(&rig, &rig.n_ended, 1));
                CHECK_INT(rig.n_connected, 0);
                CHECK_STR(rig.reason, table[i].reason);
                rig_end(&rig);
        }
}

TEST(worker_finds_a_plain_name_among_the_capture_programs) {
        char dir[] = "/tmp/fb-worker-XXXXXX", path[64];
        FILE *f;
        Rig rig;

        REQUIRE(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/framebus-x", dir);
        f = fopen(path, "we");
        REQUIRE(f);
        fprintf(f, "#!/bin/sh\necho \"$0 $@\" >&3\n");
        fclose(f);
        chmod(path, 0755);
        setenv("FRAMEBUS_LIBEXECDIR", dir, 1);
        rig_begin_argv(&rig, (const char *[]){ "framebus-x", "--one", "two words", NULL });
        unsetenv("FRAMEBUS_LIBEXECDIR");
        worker_start(rig.worker);
        CHECK(rig_wait(&rig, &rig.n_ended, 1));
        CHECK_STR(rig.reason, "framebus-x exited with status 0");
        CHECK_INT(strncmp(rig.read, path, strlen(path)), 0);
        CHECK_STR(rig.read + strlen(path), " --one two words\n");
        rig_end(&rig);
        unlink(path);
        rmdir(dir);
}

static const char look_script[] = "exec >&3\n"
                                  "[ \"$(readlink /proc/$$/fd/0)\" = /dev/null ] && echo "
                                  "stdin\n"
                                  "case $(readlink /proc/$$/fd/3) in socket:*) echo channel; "
                                  "esac\n"
                                  "[ ! -e /proc/$$/fd/42 ] && echo closed\n"
                                  "while read -r key value; do case $key$value in "
                                  "SigBlk:*[!0]*) ;; SigBlk:*) echo unblocked ;; "
                                  "esac; done < /proc/$$/status\n" /* dash blocks all for a child */
                                  "grep -q 'SigIgn:.*0000000$' /proc/$$/status && echo "
                                  "default\n" /* glibc ignores its own signals, 32 and 33 */
                                  "[ \"$(cut -d' ' -f5 /proc/$$/stat)\" = $$ ] && echo group\n"
                                  "env | grep -c "
                                  "'^NOTIFY_SOCKET\\|^LISTEN_\\|^WATCHDOG_\\|^DBUS_STARTER_'\n"
                                  "echo $KEPT\n";

TEST(worker_gives_a_program_a_clean_start) {
        Rig rig;
        int fd = dup2(STDIN_FILENO, 42); /* not close-on-exec */

        signal(SIGPIPE, SIG_IGN);
        setenv("NOTIFY_SOCKET", "/x", 1);
        setenv("LISTEN_FDS", "1", 1);
        setenv("DBUS_STARTER_ADDRESS", "x", 1);
        setenv("KEPT", "kept", 1);
        rig_begin_shell(&rig, look_script);
        worker_start(rig.worker);
        CHECK(rig_wait(&rig, &rig.n_ended, 1));
        CHECK_STR(rig.read, "stdin\nchannel\nclosed\nunblocked\ndefault\ngroup\n0\nkept\n");
        rig_end(&rig);
        signal(SIGPIPE, SIG_DFL);
        unsetenv("NOTIFY_SOCKET");
        unsetenv("LISTEN_FDS");
        unsetenv("DBUS_STARTER_ADDRESS");
        fb_close(fd);
}

TEST(worker_backs_off) {
        static const unsigned ms[] = {100, 200, 400, 800};
        Rig rig;

        rig_begin_shell(&rig, "exit 1");
        worker_start(rig.worker);
        for (unsigned i = 0; i < FB_ELEMENTSOF(ms); i++) {
                uint64_t ended_ns = rig.ended_ns;

                ROW("attempt %u", i);
                CHECK(rig_wait(&rig, &rig.n_ended, i + 1));
                CHECK_INT(rig.n_connected, i + 1);
                CHECK_MS(rig.retry_ns, ms[i] / 2 + 1, ms[i]);
                if (i > 0)
                        CHECK_MS(rig.connected_ns - ended_ns, ms[i - 1] - 50, ms[i - 1] + 900);
        }
        test_row[0] = 0;
        worker_stop(rig.worker); /* neither stops nor shortens it */
        worker_start(rig.worker);
        rig_run_ms(&rig, 300);
        CHECK_INT(rig.n_connected, 4);
        rig.on_connected = RIG_SUCCEED;
        CHECK(rig_wait(&rig, &rig.n_ended, 5));
        CHECK_MS(rig.retry_ns, 51, 100);
        rig_end(&rig);
}

TEST(worker_backs_off_to_10_s) {
        Rig rig;

        rig_begin_argv(&rig, (const char *[]){ "/nonexistent", NULL });
        for (int i = 0; i < 3; i++)
                worker_start(rig.worker); /* counts once */
        CHECK(rig_wait(&rig, &rig.n_ended, 6));
        CHECK_MS(rig.retry_ns, 1601, 3200);
        rig_end(&rig);
}

TEST(worker_reports_the_end_after_the_last_words) {
        Rig rig;

        for (int i = 0; i < 2; i++) {
                rig_begin_shell(&rig, "head -c 2000 /dev/zero | tr '\\0' x >&3; exit 1");
                rig.on_connected = RIG_SLEEP;
                worker_start(rig.worker);
                CHECK(rig_wait(&rig, &rig.n_ended, 1));
                CHECK_INT(strlen(rig.read), 2000);
                rig_end(&rig);
        }
}

TEST(worker_does_not_wait_for_a_channel_that_stays_open) {
        Rig rig;

        rig_begin_shell(&rig, "(trap '' TERM; exec sleep 3) & sleep 0.3; exit 3");
        worker_start(rig.worker);
        CHECK(rig_wait(&rig, &rig.n_ended, 1));
        CHECK_STR(rig.reason, "sh exited with status 3");
        CHECK_MS(rig.ended_ns - rig.connected_ns, 1290, 2900);
        rig_end(&rig);
}

TEST(worker_ends_what_a_program_left_behind) {
        Rig rig;
        pid_t pid;

        rig_begin_shell(&rig, "sleep 20 & echo $! >&3; exit 3");
        worker_start(rig.worker);
        CHECK(rig_wait(&rig, &rig.n_ended, 1));
        CHECK_AT_MOST_MS(rig.ended_ns - rig.connected_ns, 900);
        pid = atoi(rig.read);
        CHECK(pid > 0);
        for (int i = 0; i < 100 && !pid_is_gone(pid); i++) /* somebody has to reap it, not we */
                usleep(10000);
        rig_end(&rig);
}

TEST(worker_ends_a_program_that_closed_its_channel) {
        Rig rig;

        rig_begin_shell(&rig, "exec 3>&-; exec sleep 20");
        worker_start(rig.worker);
        CHECK(rig_wait(&rig, &rig.n_ended, 1));
        CHECK_STR(rig.reason, "sh closed its channel and goes on running");
        CHECK_MS(rig.ended_ns - rig.connected_ns, 990, 1900);
        CHECK(rig_wait(&rig, &rig.n_connected, 2)); /* not before the first is gone */
        CHECK_MS(rig.connected_ns - rig.ended_ns, 900, 1800);
        rig_end(&rig);
}

TEST(worker_stop_ends_a_program_in_peace) {
        Rig rig;
        pid_t pid;

        rig_begin_shell(&rig, "echo $$ >&3; trap 'exit 9' TERM; read x <&3; sleep 0.3; exit 0");
        worker_start(rig.worker);
        pid = rig_wait_pid(&rig);
        CHECK(pid > 1);
        rig_close(&rig);
        worker_stop(rig.worker);
        CHECK(!worker_is_running(rig.worker));
        worker_stop(rig.worker);
        rig_run_until_gone(&rig, pid, 1900);
        CHECK(pid_is_gone(pid));
        CHECK_INT(rig.n_ended, 0);
        CHECK_INT(rig.n_connected, 1);
        worker_start(rig.worker);
        CHECK(rig_wait(&rig, &rig.n_connected, 2));
        rig_end(&rig);
}

TEST(worker_start_waits_for_the_program_of_before) {
        uint64_t stopped_ns;
        Rig rig;

        rig_begin_shell(&rig, "echo $$ >&3; read x <&3; sleep 0.5");
        worker_start(rig.worker);
        CHECK(rig_wait_pid(&rig) > 1);
        rig_close(&rig);
        worker_stop(rig.worker);
        stopped_ns = clock_now_ns();
        worker_start(rig.worker);
        CHECK(!worker_is_running(rig.worker));
        CHECK(rig_wait(&rig, &rig.n_connected, 2));
        CHECK_MS(rig.connected_ns - stopped_ns, 490, 1900);
        CHECK_INT(rig.n_ended, 0);
        rig_end(&rig);
}

TEST(worker_stop_ends_a_stubborn_program) {
        Rig rig;
        pid_t pid;

        rig_begin_shell(&rig, "trap '' TERM; echo $$ >&3; while :; do sleep 1; done");
        worker_start(rig.worker);
        pid = rig_wait_pid(&rig);
        CHECK(pid > 1);
        rig_close(&rig);
        worker_stop(rig.worker);
        rig_run_ms(&rig, 4500);
        CHECK(!pid_is_gone(pid));
        rig_run_until_gone(&rig, pid, 3000);
        CHECK(pid_is_gone(pid));
        rig_end(&rig);
}

TEST(worker_free_leaves_the_program_to_the_event_loop) {
        Rig rig;
        pid_t pid;

        rig_begin_shell(&rig, "trap 'sleep 0.1; exit 0' TERM; echo $$ >&3; while :; do sleep 0.1; done");
        worker_start(rig.worker);
        pid = rig_wait_pid(&rig);
        CHECK(pid > 1);
        rig_close(&rig);
        rig.worker = worker_free(rig.worker);
        rig_run_ms(&rig, 1500);
        CHECK(!pid_is_gone(pid));
        rig_run_until_gone(&rig, pid, 3000);
        CHECK(pid_is_gone(pid)); /* SIGTERM after 2 s, and reaped */
        rig_end(&rig);
}

TEST(worker_free_outlived_by_the_program) {
        Rig rig;
        pid_t pid;

        rig_begin_shell(&rig, "echo $$ >&3; exec sleep 20");
        worker_start(rig.worker);
        pid = rig_wait_pid(&rig);
        REQUIRE(pid > 1);
        rig_end(&rig); /* the loop, too: nothing may be left but the process */
        CHECK(!pid_is_gone(pid));
        kill(pid, SIGKILL);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
}

TEST(worker_handlers_may_do_anything) {
        static const struct {
                const char *script;
                RigAction on_connected, on_ended;
                unsigned n_connected, n_ended;
        } table[] = {
                { "read x <&3", RIG_FREE, RIG_NOTHING, 1, 0 },
                { "read x <&3", RIG_STOP, RIG_NOTHING, 1, 0 },
                { "exit 1", RIG_NOTHING, RIG_FREE, 1, 1 },
                { "exit 1", RIG_NOTHING, RIG_STOP, 1, 1 },
                { "exit 1", RIG_FREE, RIG_NOTHING, 1, 0 },
                { "exit 1", RIG_NOTHING, RIG_STOP_AND_START, 2, 2 },
                { "exec 3>&-; read x <&3; sleep 3", RIG_NOTHING, RIG_FREE, 1, 1 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                Rig rig;

                ROW("row %zu", i);
                rig_begin_shell(&rig, table[i].script);
                rig.on_connected = table[i].on_connected;
                rig.on_ended = table[i].on_ended;
                worker_start(rig.worker);
                CHECK(rig_wait(&rig, &rig.n_connected, 1));
                rig_run_ms(&rig, i + 1 == FB_ELEMENTSOF(table) ? 1500 : 250);
                CHECK_INT(rig.n_connected, table[i].n_connected);
                CHECK_INT(rig.n_ended, table[i].n_ended);
                rig_end(&rig);
        }
}

TEST(worker_idle_takes_every_call) {
        Rig rig;

        rig_begin_shell(&rig, "exit 1");
        worker_stop(rig.worker);
        worker_channel_closed(rig.worker);
        worker_succeeded(rig.worker);
        CHECK(!worker_is_running(rig.worker));
        worker_start(rig.worker);
        worker_stop(rig.worker);
        rig_run_ms(&rig, 100);
        CHECK_INT(rig.n_connected + rig.n_ended, 0);
        rig_end(&rig);
        CHECK(!worker_free(NULL));
}

TEST(worker_refuses_specs_that_make_no_sense) {
        const char *const none[] = {NULL}, *const empty[] = { "", NULL }, *const good[] = { "x", NULL };
        char path[200];
        const WorkerSpec table[] = {
                {},
                { .argv = none },
                { .argv = empty },
                { .socket_path = "/x" },
                { .argv = good, .socket_path = "/x", .request = "y" },
                { .socket_path = "", .request = "y" },
                { .socket_path = path, .request = "y" },
        };
        sd_event *event;

        memset(path, 'x', sizeof path - 1);
        path[sizeof path - 1] = 0;
        REQUIRE(sd_event_new(&event) >= 0);
        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                Worker *w = NULL;

                ROW("row %zu", i);
                CHECK_INT(worker_new(event, &table[i], &rig_handler, NULL, &w), -EINVAL);
                CHECK(!w);
        }
        sd_event_unref(event);
}

TEST(worker_needs_sigchld_blocked) {
        sigset_t chld;
        Rig rig;

        sigemptyset(&chld);
        sigaddset(&chld, SIGCHLD);
        sigprocmask(SIG_UNBLOCK, &chld, NULL);
        rig_begin_shell(&rig, "exit 1");
        worker_start(rig.worker);
        CHECK(rig_wait(&rig, &rig.n_ended, 1));
        CHECK_STR(rig.reason, "cannot run sh: Device or resource busy");
        rig_end(&rig);
        sigprocmask(SIG_BLOCK, &chld, NULL);
}

int main(void) {
        sigset_t chld;

        sigemptyset(&chld);
        sigaddset(&chld, SIGCHLD);
        sigprocmask(SIG_BLOCK, &chld, NULL);
        return test_main();
}
