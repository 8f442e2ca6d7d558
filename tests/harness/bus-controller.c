/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-controller: runs a private dbus-broker without systemd, journald or root.
 *
 * dbus-broker needs a controller that hands it a listening socket, a policy and the activatable names, and
 * that starts the programs behind those names. This is the smallest one that is fit for tests: everybody may
 * do everything, activated programs get the environment that dbus-daemon gives.
 *
 * Invariants: every process started here is a Child and is reaped here; the event loop ends only when there
 * is none left; the socket file is removed if and only if it was made here.
 *
 * It deliberately reads no D-Bus XML and no service files, restarts nothing by itself, and does not reload.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <wordexp.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <systemd/sd-id128.h>

#define SERVICES_MAX       16
#define BROKER_ARGS_MAX    16
#define ACTIVATE_TIMEOUT_S 25 /* dbus-daemon's service_start_timeout */
#define STOP_TIMEOUT_S     2
#define EXIT_PROTOCOL      77 /* this dbus-broker speaks another controller protocol: a reason to skip */

/* The policy in dbus-broker's controller protocol: per uid, per gid, SELinux labels, AppArmor, bus type. */
#define POLICY_BATCH "bta(btbs)a(btssssuutt)a(btssssuutt)"
#define POLICY_UIDS  "(u(" POLICY_BATCH "))"
#define POLICY_GIDS  "(buu(" POLICY_BATCH "))"
#define POLICY       "a" POLICY_UIDS "a" POLICY_GIDS "a(ss)bs"

#define _cleanup_(f) __attribute__((cleanup(f)))

typedef struct Controller Controller;

typedef struct Service {
        Controller *controller;
        const char *name;
        wordexp_t command;
        char path[64]; /* of the name's object at the broker */
} Service;

typedef struct Child {
        Controller *controller;
        Service *service; /* NULL: dbus-broker itself */
        uint64_t serial;  /* of the activation that it answers */
        pid_t pid;
        sd_event_source *exit_source;
        sd_event_source *timeout_source;
        struct Child *next; // Controller::children
} Child;

struct Controller {
        sd_event *event;
        sd_bus *bus;
        char *path;    /* socket file, NULL until bound */
        char *address; /* the same as a D-Bus address */
        bool allow_all_uids;
        bool system; /* which variables the activated programs get */
        uint64_t activate_timeout_s;
        const char *broker_args[BROKER_ARGS_MAX];
        size_t n_broker_args;
        Service services[SERVICES_MAX];
        size_t n_services;
        Child *children; /* newest first: the broker is the last */
        pid_t broker_pid;
        bool stopping;
        int exit_code;
};

static void close_fdp(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

static int fail(int r, const char *what) {
        fprintf(stderr, "bus-controller: %s: %s\n", what, strerror(-r));
        return r;
}

/* Ending: the activated programs, then the broker; what does not end within STOP_TIMEOUT_S is killed. */

static void controller_signal_children(Controller *c, int sig, bool broker) {
        for (Child *child = c->children; child; child = child->next)
                if (broker == !child->service)
                        kill(child->pid, sig);
}

static int controller_on_stop_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        controller_signal_children(userdata, SIGKILL, false);
        controller_signal_children(userdata, SIGKILL, true);
        return 0;
}

static void controller_stop_next(Controller *c) {
        if (!c->children)
                sd_event_exit(c->event, c->exit_code);
        else
                controller_signal_children(c, SIGTERM, !c->children->service);
}

static void controller_stop(Controller *c, int exit_code) {
        c->stopping = true;
        c->exit_code = exit_code;
        if (sd_event_add_time_relative(c->event, NULL, CLOCK_MONOTONIC, STOP_TIMEOUT_S * 1000000ULL, 0,
                                       controller_on_stop_timeout, c) < 0)
                controller_on_stop_timeout(NULL, 0, c);
        controller_stop_next(c);
}

static int controller_on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Controller *c = userdata;

        if (!c->stopping)
                controller_stop(c, EXIT_SUCCESS);
        return 0;
}

/* Children */

static void child_free(Child *child) {
        Child **p = &child->controller->children;

        while (*p && *p != child)
                p = &(*p)->next;
        if (*p)
                *p = child->next;
        sd_event_source_disable_unref(child->exit_source);
        sd_event_source_disable_unref(child->timeout_source);
        free(child);
}

static void child_reset_activation(Child *child) {
        /* Ignored by the broker when the name has been acquired or another activation has begun since. */
        int r = sd_bus_call_method_async(child->controller->bus, NULL, NULL, child->service->path,
                                         "org.bus1.DBus.Name", "Reset", NULL, NULL, "ts", child->serial,
                                         "org.bus1.DBus.Name.Error.StartupFailure");
        if (r < 0 && !child->controller->stopping)
                fail(r, "cannot reset an activation");
}

static int child_on_exit(sd_event_source *s, const siginfo_t *si, void *userdata) {
        Child *child = userdata;
        Controller *c = child->controller;
        bool broker = !child->service;

        if (!c->stopping && !broker)
                child_reset_activation(child);
        child_free(child);
        if (c->stopping)
                controller_stop_next(c);
        else if (broker) {
                fprintf(stderr, "bus-controller: dbus-broker ended with %s %d\n",
                        si->si_code == CLD_EXITED ? "status" : "signal", si->si_status);
                controller_stop(c, EXIT_FAILURE);
        }
        return 0;
}

static int child_on_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        child_reset_activation(userdata);
        return 0;
}

static void signals_unblock(void) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Adopts a forked process. On failure the process is killed and reaped. */
static int child_new(Controller *c, pid_t pid, Service *service, uint64_t serial) {
        Child *child = calloc(1, sizeof(Child));
        int r = -ENOMEM;

        if (child) {
                *child = (Child) {.controller = c, .service = service, .serial = serial, .pid = pid};
                child->next = c->children;
                c->children = child;
                r = sd_event_add_child(c->event, &child->exit_source, pid, WEXITED, child_on_exit, child);
        }
        if (r >= 0 && service)
                r = sd_event_add_time_relative(c->event, &child->timeout_source, CLOCK_MONOTONIC,
                                               c->activate_timeout_s * 1000000, 0, child_on_timeout, child);
        if (r < 0) {
                kill(pid, SIGKILL);
                child_free(child);
                waitpid(pid, NULL, 0);
        }
        return r;
}

/* Activation */

static _Noreturn void service_exec(Service *service) {
        const char *address = service->controller->address;

        signals_unblock();
        if (setenv("DBUS_STARTER_ADDRESS", address, 1) == 0 &&
            setenv("DBUS_STARTER_BUS_TYPE", service->controller->system ? "system" : "session", 1) == 0 &&
            setenv(service->controller->system ? "DBUS_SYSTEM_BUS_ADDRESS" : "DBUS_SESSION_BUS_ADDRESS",
                   address, 1) == 0)
                execvp(service->command.we_wordv[0], service->command.we_wordv);
        fail(-errno, service->command.we_wordv[0]);
        _exit(127);
}

static int service_on_activate(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Service *service = userdata;
        uint64_t serial;
        pid_t pid;
        int r;

        r = sd_bus_message_read(m, "t", &serial);
        if (r < 0 || service->controller->stopping)
                return r;
        pid = fork();
        if (pid == 0)
                service_exec(service);
        r = pid < 0 ? -errno : child_new(service->controller, pid, service, serial);
        return r < 0 ? fail(r, "cannot start a service") : 0;
}

static int service_add(Service *service) {
        Controller *c = service->controller;
        int r;

        r = sd_bus_match_signal(c->bus, NULL, NULL, service->path, "org.bus1.DBus.Name", "Activate",
                                service_on_activate, service);
        if (r >= 0)
                r = sd_bus_call_method(c->bus, NULL, "/org/bus1/DBus/Broker", "org.bus1.DBus.Broker",
                                       "AddName", NULL, NULL, "osu", service->path, service->name, getuid());
        return r < 0 ? fail(r, service->name) : 0;
}

/* The broker */

static _Noreturn void broker_exec(Controller *c, int fd, pid_t parent) {
        char fd_str[16], id[SD_ID128_STRING_MAX] = "0123456789abcdef0123456789abcdef";
        const char *argv[6 + BROKER_ARGS_MAX] = {"dbus-broker", "--controller", fd_str, "--machine-id", id};
        sd_id128_t machine;

        signals_unblock();
        if (sd_id128_get_machine(&machine) >= 0)
                sd_id128_to_string(machine, id);
        snprintf(fd_str, sizeof(fd_str), "%d", fd);
        memcpy(argv + 5, c->broker_args, c->n_broker_args * sizeof(argv[0]));

        /* Whoever kills this controller must not leave a bus behind. */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() == parent && fcntl(fd, F_SETFD, 0) >= 0)
                execvp(argv[0], (char *const *) argv);
        fail(-errno, argv[0]);
        _exit(127);
}

static int broker_start(Controller *c) {
        _cleanup_(close_fdp) int ours = -1, theirs = -1;
        pid_t pid, self = getpid();
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        ours = fds[0];
        theirs = fds[1];
        pid = fork();
        if (pid == 0)
                broker_exec(c, theirs, self);
        r = pid < 0 ? -errno : child_new(c, pid, NULL, 0);
        if (r < 0)
                return r;

        r = sd_bus_set_fd(c->bus, ours, ours);
        if (r < 0)
                return r;
        ours = -1;
        r = sd_bus_start(c->bus);
        if (r < 0)
                return r;
        c->broker_pid = pid;
        return sd_bus_attach_event(c->bus, c->event, SD_EVENT_PRIORITY_NORMAL);
}

static int policy_append_uid(sd_bus_message *m, uint32_t uid, bool connect) {
        /* One rule each for owning, sending and receiving; all of them match everything. */
        return sd_bus_message_append(m, POLICY_UIDS, uid,
                                     connect, UINT64_C(1),
                                     1, 1, UINT64_C(1), 1, "",
                                     1, 1, UINT64_C(1), "", "", "", "", 0, 0, UINT64_C(0), UINT64_MAX,
                                     1, 1, UINT64_C(1), "", "", "", "", 0, 0, UINT64_C(0), UINT64_MAX);
}

static int policy_append(sd_bus_message *m, bool allow_all_uids) {
        int r;

        if ((r = sd_bus_message_open_container(m, 'v', "(" POLICY ")")) < 0 ||
            (r = sd_bus_message_open_container(m, 'r', POLICY)) < 0 ||
            (r = sd_bus_message_open_container(m, 'a', POLICY_UIDS)) < 0 ||
            (r = policy_append_uid(m, UINT32_MAX, allow_all_uids)) < 0 ||
            (r = policy_append_uid(m, getuid(), true)) < 0 ||
            (r = sd_bus_message_close_container(m)) < 0 ||
            (r = sd_bus_message_append(m, "a" POLICY_GIDS "a(ss)bs", 0, 0, false, "session")) < 0 ||
            (r = sd_bus_message_close_container(m)) < 0)
                return r;
        return sd_bus_message_close_container(m);
}

static int listener_open(Controller *c, const char *path, int *ret_fd) {
        _cleanup_(close_fdp) int fd = -1;
        struct sockaddr_un sa = {.sun_family = AF_UNIX};

        if (path[0] != '/' || strlen(path) >= sizeof(sa.sun_path))
                return fail(-EINVAL, "--address wants an absolute path that fits into a socket address");
        strcpy(sa.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0)
                return fail(-errno, path);
        c->path = strdup(path);
        if (!c->path || asprintf(&c->address, "unix:path=%s", path) < 0)
                return -ENOMEM;
        if (chmod(path, c->allow_all_uids ? 0666 : 0600) < 0 || listen(fd, 1024) < 0)
                return fail(-errno, path);
        *ret_fd = fd;
        fd = -1;
        return 0;
}

static int controller_add_listener(Controller *c, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(close_fdp) int fd = -1;
        int r;

        r = listener_open(c, path, &fd);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(c->bus, &m, NULL, "/org/bus1/DBus/Broker", "org.bus1.DBus.Broker",
                                           "AddListener");
        if (r >= 0)
                r = sd_bus_message_append(m, "oh", "/org/bus1/DBus/Listener/0", fd);
        if (r >= 0)
                r = policy_append(m, c->allow_all_uids);
        if (r < 0)
                return fail(r, "cannot build AddListener");
        r = sd_bus_call(c->bus, m, 0, &error, NULL);
        if (r < 0) {
                fprintf(stderr, "bus-controller: dbus-broker refused AddListener: %s\n", error.message);
                c->exit_code = EXIT_PROTOCOL;
        }
        return r;
}

/* The program */

static int controller_init(Controller *c) {
        sigset_t set;
        int r;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGCHLD);
        sigprocmask(SIG_BLOCK, &set, NULL);
        if ((r = sd_event_new(&c->event)) < 0 ||
            (r = sd_event_add_signal(c->event, NULL, SIGTERM, controller_on_signal, c)) < 0 ||
            (r = sd_event_add_signal(c->event, NULL, SIGINT, controller_on_signal, c)) < 0 ||
            (r = sd_bus_new(&c->bus)) < 0)
                return fail(r, "cannot set up");
        return 0;
}

static void controller_deinit(Controller *c) {
        while (c->children) {
                pid_t pid = c->children->pid;

                kill(pid, SIGKILL);
                child_free(c->children);
                waitpid(pid, NULL, 0);
        }
        sd_bus_close_unref(c->bus);
        sd_event_unref(c->event);
        for (size_t i = 0; i < c->n_services; i++)
                wordfree(&c->services[i].command);
        if (c->path)
                unlink(c->path);
        free(c->path);
        free(c->address);
}

static int controller_run(Controller *c, const char *path) {
        int r;

        r = controller_init(c);
        if (r < 0)
                return r;
        r = broker_start(c);
        if (r < 0)
                return fail(r, "cannot start dbus-broker");
        r = controller_add_listener(c, path);
        for (size_t i = 0; r >= 0 && i < c->n_services; i++)
                r = service_add(&c->services[i]);
        if (r < 0)
                return r;

        printf("READY %d\n", (int) c->broker_pid);
        fflush(stdout);
        return sd_event_loop(c->event);
}

static int controller_parse_service(Controller *c, char *arg) {
        Service *service = &c->services[c->n_services];
        char *command = strchr(arg, '=');

        if (!command || c->n_services == SERVICES_MAX)
                return -EINVAL;
        *command++ = '\0';
        *service = (Service) {.controller = c, .name = arg};
        snprintf(service->path, sizeof(service->path), "/org/bus1/DBus/Name/%zu", c->n_services);
        if (wordexp(command, &service->command, WRDE_NOCMD) != 0)
                return -EINVAL;
        c->n_services++;
        return service->command.we_wordc > 0 ? 0 : -EINVAL;
}

static int controller_parse(Controller *c, int argc, char **argv, const char **ret_path) {
        static const struct option options[] = {
                {"max-bytes", required_argument, NULL, 'm'},
                {"max-fds", required_argument, NULL, 'm'},
                {"max-matches", required_argument, NULL, 'm'},
                {"max-objects", required_argument, NULL, 'm'},
                {"address", required_argument, NULL, 'a'},
                {"activate", required_argument, NULL, 'n'},
                {"activate-timeout", required_argument, NULL, 't'},
                {"uid-allow-all", no_argument, NULL, 'u'},
                {"system", no_argument, NULL, 's'},
                {},
        };
        static const char *const names[] = {"--max-bytes", "--max-fds", "--max-matches", "--max-objects"};
        const char *path = NULL;
        int o, index, r = 0;

        while (r >= 0 && (o = getopt_long(argc, argv, "", options, &index)) >= 0)
                if (o == 'a')
                        path = optarg;
                else if (o == 'n')
                        r = controller_parse_service(c, optarg);
                else if (o == 't')
                        c->activate_timeout_s = strtoull(optarg, NULL, 10);
                else if (o == 'u')
                        c->allow_all_uids = true;
                else if (o == 's')
                        c->system = true;
                else if (o == 'm' && c->n_broker_args + 2 <= BROKER_ARGS_MAX) {
                        c->broker_args[c->n_broker_args++] = names[index];
                        c->broker_args[c->n_broker_args++] = optarg;
                } else
                        r = -EINVAL;
        if (r < 0 || !path || optind < argc)
                return -EINVAL;
        *ret_path = path;
        return 0;
}

int main(int argc, char **argv) {
        Controller c = {.activate_timeout_s = ACTIVATE_TIMEOUT_S, .exit_code = EXIT_SUCCESS};
        const char *path;
        int r;

        if (controller_parse(&c, argc, argv, &path) < 0) {
                fputs("Usage: bus-controller --address PATH [--uid-allow-all] [--system]\n"
                      "         [--activate NAME=COMMAND]... [--activate-timeout SECONDS]\n"
                      "         [--max-{bytes,fds,matches,objects} N]...\n"
                      "Runs dbus-broker on the socket PATH until SIGTERM. COMMAND is split as by a shell.\n"
                      "Prints READY and dbus-broker's process id when clients can connect.\n"
                      "Ends with 77 if dbus-broker speaks another controller protocol.\n", stderr);
                r = -EINVAL;
        } else
                r = controller_run(&c, path);
        controller_deinit(&c);
        if (r < 0)
                return c.exit_code != EXIT_SUCCESS ? c.exit_code : EXIT_FAILURE;
        return c.exit_code;
}
