#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ns-run.sh [-b daemon|broker] [-t SECONDS] FOLDER [OUT]
#
# Runs FOLDER/test as root under systemd as PID 1 with a system bus, in namespaces of its own (processes,
# mounts, host name, IPC, cgroups, network). It takes less than a second. Needs root, CAP_SYS_ADMIN and a
# writable cgroup2. Where these cannot be had, and for a camera, it also works in tests/camera/vm-run.sh, in
# half a minute.
#
# The root is the host's with an overlay in memory: what is written is gone at the end. systemd sees only
# the units in FOLDER, the bus, the journal and the targets that these need.
#
#   FOLDER/*.service, *.socket, ...   units
#   FOLDER/test                       the program to run once the bus is there; its status is this script's.
#                                     FB_* variables are handed on.
#   FOLDER/etc, FOLDER/usr            copied over /etc and /usr: bus policy, bus service files, and so on
#   FOLDER/usr/lib/sysusers.d/*.conf  these users are made first
#   OUT                               a folder that is /mnt/out inside
#
#   -b   the system bus: dbus-daemon (default) or dbus-broker
#   -t   limit in seconds, default 60 times FB_TIMEOUT_SCALE
#
# The test's output is printed when it has ended, and the journal on stderr if it failed. The devices are
# null, zero, full, random, urandom, tty, and /dev/video* if the host has any.
#
# Status: the test's; 77 with a reason if this machine does not allow it; 124 after the time limit.

set -euo pipefail

units=/lib/systemd/system
targets=(basic exit final local-fs network paths shutdown slices sockets sysinit timers umount)
stock=("${targets[@]/%/.target}" dbus.socket systemd-journald.service systemd-journald.socket
    systemd-journald-dev-log.socket systemd-exit.service)

usage() {
    sed -n '/^# ns-run/,/^$/s/^# \{0,1\}//p' "$0"
    exit "$1"
}

skip() {
    echo "SKIP: $*" >&2
    exit 77
}

# --- outside: rights, folders, cleaning up

find_cgroup2() {
    awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts
}

# The kernel needs a moment to let go of the cgroups of a namespace that has just ended.
remove_cgroup() {
    for _ in $(seq 50); do
        find "$1" -depth -type d -exec rmdir {} + 2> /dev/null || true
        [ -d "$1" ] || return 0
        sleep 0.05
    done
    echo "ns-run: cannot remove $1" >&2
}

cleanup() {
    [ -z "${cgroup:-}" ] || remove_cgroup "$cgroup"
    [ -z "${work:-}" ] || rmdir "$work/root" "$work"
    [ -z "${own_out:-}" ] || rm -rf "$own_out"
}

outside() {
    local bus=daemon limit folder out status=0 mount

    limit=$(awk -v s="${FB_TIMEOUT_SCALE:-1}" 'BEGIN { print 60 * s }')
    while getopts 'b:t:h' option; do
        case $option in
        b) bus=$OPTARG ;;
        t) limit=$OPTARG ;;
        h) usage 0 ;;
        *) usage 2 >&2 ;;
        esac
    done
    shift $((OPTIND - 1))
    [ $# = 1 ] || [ $# = 2 ] || usage 2 >&2
    folder=$(realpath "$1")
    [ -x "$folder/test" ] || { echo "ns-run: $folder/test is not a program" >&2; exit 2; }

    case $bus in
    daemon) [ -x /usr/bin/dbus-daemon ] || skip "dbus-daemon is missing" ;;
    broker) [ -x /usr/bin/dbus-broker-launch ] || skip "dbus-broker is missing" ;;
    *) usage 2 >&2 ;;
    esac
    [ -x /lib/systemd/systemd ] || skip "systemd is not installed"
    [ "$(id -u)" = 0 ] || skip "systemd in namespaces needs root"
    unshare --mount --pid --uts --ipc --cgroup --net --fork true 2> /dev/null ||
        skip "namespaces are not allowed here"
    mount=$(find_cgroup2)
    [ -n "$mount" ] || skip "no cgroup2 is mounted"

    trap cleanup EXIT
    mkdir "$mount/framebus-test.$$" 2> /dev/null || skip "$mount is not writable"
    cgroup=$mount/framebus-test.$$
    work=$(mktemp -d)
    mkdir "$work/root"
    if [ $# = 2 ]; then
        out=$(realpath "$2")
    else
        own_out=$(mktemp -d)
        out=$own_out
    fi
    rm -f "$out"/{test.log,journal}

    # unshare ignores SIGTERM; the whole namespace dies with it.
    NS_RUN_INSIDE=1 timeout --foreground -s KILL "$limit" unshare --mount --propagation private -- \
        "$BASH" "$0" "$bus" "$folder" "$out" "$work" "$cgroup" < /dev/null || status=$?
    [ ! -e "$out/test.log" ] || cat "$out/test.log"
    if [ $status = 137 ]; then
        status=124
        echo "ns-run: not done within $limit s" >&2
    fi
    if [ $status != 0 ] && [ -s "$out/journal" ]; then
        sed 's/^/journal: /' "$out/journal" >&2
    fi
    exit $status
}

# --- between: in a mount namespace, the new root is put together

write_units() { # bus, folder with the units
    local unit
    for unit in "${stock[@]}"; do
        [ -e "$2/$unit" ] || ln -s "$units/$unit" "$2/$unit"
    done
    if [ ! -e "$2/dbus.service" ]; then
        case $1 in
        daemon) ln -s "$units/dbus.service" "$2/dbus.service" ;;
        broker) ln -s "$units/dbus-broker.service" "$2/dbus.service" ;;
        esac
    fi
    # The exit action passes the test's status on as systemd's own.
    cat > "$2/ns-run-test.service" <<UNIT
[Unit]
Requires=dbus.socket systemd-journald.service systemd-journald-dev-log.socket
After=dbus.socket systemd-journald.service
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
EnvironmentFile=/run/ns-run/environment
ExecStart=/ns-run/units/test
ExecStopPost=-/bin/sh -c 'journalctl --sync; journalctl --no-pager -q -o short-monotonic > /mnt/out/journal'
StandardOutput=append:/mnt/out/test.log
StandardError=append:/mnt/out/test.log
UNIT
}

# What systemd's first process finds: the namespace's own /proc, /sys, /run and /dev.
write_start() { # out
    local name
    cat <<START
set -e
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=755 dev /dev
for node in null zero full random urandom tty \$(cd /ns-run/old/dev && ls -d video* 2> /dev/null); do
    : > /dev/\$node
    mount --bind /ns-run/old/dev/\$node /dev/\$node
done
mkdir -p /dev/pts /dev/shm /run/ns-run
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
ln -s pts/ptmx /dev/ptmx
ln -s /proc/self/fd /dev/fd
mount --bind $(printf %q "/ns-run/old$1") /mnt/out
umount -l /ns-run/old
cp /ns-run/environment /run/ns-run/environment
exec env -i container=framebus-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    SYSTEMD_UNIT_PATH=/ns-run/units SYSTEMD_GENERATOR_PATH=/ns-run/none \
    /lib/systemd/systemd --unit=ns-run-test.service --log-target=console --log-level=warning --show-status=0
START
}

write_environment() {
    local name
    for name in "${!FB_@}"; do
        printf '%s="%s"\n' "$name" "$(sed 's/[\\"$`]/\\&/g' <<< "${!name}")"
    done
}

inside() {
    local bus=$1 folder=$2 out=$3 work=$4 cgroup=$5 root part

    # The folder is read before anything is mounted over its place.
    mount -t tmpfs -o mode=755 ns-run "$work/root"
    mkdir "$work/root"/{upper,work,merged}
    root=$work/root/merged
    mount -t overlay -o "lowerdir=/,upperdir=$work/root/upper,workdir=$work/root/work" overlay "$root"
    mkdir -p "$root/ns-run"/{old,units} "$root/mnt/out"
    for part in etc usr; do
        [ ! -d "$folder/$part" ] || cp -a "$folder/$part/." "$root/$part/"
    done
    cp -a "$folder/." "$root/ns-run/units/"
    write_units "$bus" "$root/ns-run/units"
    write_start "$out" > "$root/ns-run/start"
    write_environment > "$root/ns-run/environment"
    if [ -d "$folder/usr/lib/sysusers.d" ]; then
        cd "$folder/usr/lib/sysusers.d"
        SYSTEMD_LOG_LEVEL=warning systemd-sysusers --root="$root" -- *.conf
    fi
    : > "$root/etc/machine-id"
    rm -f "$root/.dockerenv"    # systemd would take it for a Docker container and ignore its command line

    cd "$root"
    echo $$ > "$cgroup/cgroup.procs"
    exec unshare --pid --mount --propagation private --uts --ipc --cgroup --net --fork --kill-child \
        "$BASH" -c 'pivot_root . ns-run/old && exec chroot . /bin/bash /ns-run/start'
}

if [ -n "${NS_RUN_INSIDE:-}" ]; then
    inside "$@"
else
    outside "$@"
fi
