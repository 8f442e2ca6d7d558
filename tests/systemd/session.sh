#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# session.sh daemon|broker: run by test-activation.sh as root under systemd as PID 1. A user's session: its
# own systemd, its own bus, and the broker that this starts; then a bus without any systemd.

set -euo pipefail

bus=$1
user=fb-test-user
home=/var/lib/$user
runtime=/run/user/$user
as=(setpriv --reuid=$user --regid=$user --clear-groups env -i PATH=/usr/bin:/bin:/usr/local/bin HOME=$home)
session=("${as[@]}" XDG_RUNTIME_DIR=$runtime DBUS_SESSION_BUS_ADDRESS=unix:path=$runtime/bus)

step() {
    echo "--- $SECONDS s: $*"
}

fail() {
    echo "FAIL: $*"
    ps -eo pid,ppid,user:20,args | grep '[f]ramebus' || true
    exit 1
}

until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "not within the time: $*"
        sleep 0.05
    done
}

no_program_runs() {
    ! pgrep -x framebus-patter > /dev/null
}

main_pid() {
    "${session[@]}" systemctl --user show -P MainPID framebus.service
}

resolve() { # source
    "${session[@]}" busctl --user --timeout=10 call \
        org.framebus /org/framebus org.framebus.Manager1 Resolve s "$1"
}

install -d -o $user -g $user -m 700 $home $home/.config/framebus/sources.d
cat > $home/.config/framebus/sources.d/mine.conf <<'CONF'
[Source]
Exec=framebus-pattern --size=320x240 --rate=50
CONF
chown -R $user: $home

unit=dbus.service
[ "$bus" = daemon ] || unit=dbus-broker.service
ln -sf /usr/lib/systemd/user/$unit /etc/systemd/user/dbus.service

cat > /run/systemd/system/fb-test-session.service <<UNIT
[Service]
Type=notify
User=$user
Delegate=yes
KillMode=mixed
TimeoutStopSec=15
RuntimeDirectory=user/$user
RuntimeDirectoryMode=0700
Environment=XDG_RUNTIME_DIR=$runtime HOME=$home
UnsetEnvironment=SYSTEMD_UNIT_PATH SYSTEMD_GENERATOR_PATH
ExecStart=/lib/systemd/systemd --user --log-target=journal
UNIT
cp /run/systemd/system/fb-test-session.service /ns-run/units/
systemctl daemon-reload
systemctl start fb-test-session.service
until_true 10 test -S $runtime/bus

step 'a call on the session bus starts the session broker by its unit'
[ "$(main_pid)" = 0 ] || fail 'it runs already'
resolve mine
[ "$(main_pid)" != 0 ] || fail 'the bus started it without its unit'
[ "$(ps -o user:20= -p "$(main_pid)")" = $user ] || fail 'it runs as somebody else'
pgrep -x -u $user "dbus-$bus" > /dev/null || fail 'it is the wrong bus'

step 'frames come from a capture program that is its child'
rm -f /tmp/frames
"${session[@]}" fb-client --source mine --seconds 60 --stay > /tmp/frames &
client=$!
until_true 10 grep -qs '"frame"' /tmp/frames
program=$(pgrep -x framebus-patter)
[ "$(ps -o ppid= -p "$program" | tr -d ' ')" = "$(main_pid)" ] || fail 'it is the child of somebody else'
[ "$(ps -o user:20= -p "$program")" = $user ] || fail 'it runs as somebody else'
grep -q 'framebus.service' "/proc/$program/cgroup" || fail 'it runs in another unit'

step 'what the system broker has is not listed twice'
if resolve bars 2> /tmp/error; then
    fail 'the session broker has it, too'
fi

step 'kill -9 of the broker leaves nothing behind and heals with the next call'
first=$(main_pid)
kill -KILL "$first"
kill "$client"
wait "$client" || true
until_true 10 no_program_runs
resolve mine
[ "$(main_pid)" != "$first" ] || fail 'it is the same one'

step 'the end of the session is the end of the broker'
pid=$(main_pid)
systemctl stop fb-test-session.service
until_true 10 test ! -e "/proc/$pid"
[ "$(systemctl show -P Result fb-test-session.service)" = success ] || fail 'something had to be killed'

step 'a session bus without systemd starts it, too'
cat > /tmp/bare.sh <<'BARE'
busctl --user call org.framebus /org/framebus org.framebus.Manager1 Resolve s mine &&
exec fb-client --source mine --frames 20 --seconds 10
BARE
"${as[@]}" dbus-run-session -- sh /tmp/bare.sh > /tmp/frames || fail "$(tail -5 /tmp/frames)"
[ "$(grep -c '"frame"' /tmp/frames)" -ge 20 ] || fail "$(grep -c '"frame"' /tmp/frames) frames"
until_true 10 no_program_runs
until_true 10 sh -c "! pgrep -x framebusd -u $user > /dev/null"
