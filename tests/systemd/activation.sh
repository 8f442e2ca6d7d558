#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Run by test-activation.sh as root under systemd as PID 1. Says what it does; ends at what fails.

set -euo pipefail

address=unix:path=/run/dbus/system_bus_socket
member=(setpriv --reuid=daemon --regid=daemon --groups=video)
rounds=15
[ "${FB_FULL:-}" != 1 ] || rounds=250
stranger=(setpriv --reuid=nobody --regid=nogroup --clear-groups)

step() {
    echo "--- $SECONDS s: $*"
}

fail() {
    echo "FAIL: $*"
    ps -eo pid,ppid,user:20,args | grep '[f]ramebus' || true
    exit 1
}

manager() { # method and arguments
    busctl --timeout=10 call org.framebus /org/framebus org.framebus.Manager1 "$@"
}

main_pid() {
    systemctl show -P MainPID framebus.service
}

active() {
    systemctl show -P ActiveState "$1"
}

# until SECONDS COMMAND…
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "not within the time: $*"
        sleep 0.05
    done
}

count_programs() {
    pgrep -c -x framebus-patter || true # 15 characters of it
}

no_program_runs() {
    [ "$(count_programs)" = 0 ]
}

frames_of() { # file
    grep -c '"frame"' "$1" || true
}

ldconfig

step 'a call from a member of the group video starts the broker as its own user'
[ "$(active framebus.service)" = inactive ] || fail 'it runs already'
"${member[@]}" busctl call org.framebus /org/framebus org.framebus.Manager1 Resolve s bars ||
    fail 'the call was not answered'
[ "$(active framebus.service)" = active ] || fail 'the bus started it without its unit'
[ "$(ps -o user:20= -p "$(main_pid)")" = framebus ] || fail 'it runs as somebody else'
[ "$(active framebus-capture.socket)" = active ] || fail 'the capture socket does not listen'
[ "$(stat -c '%U %a' /run/framebus/capture)" = 'framebus 600' ] || fail 'the capture socket is open to others'
grep -q 'CapEff:\s*0*$' "/proc/$(main_pid)/status" || fail 'the broker has capabilities'
[ "$(stat -c '%U %a' /run/framebus-broker)" = 'framebus 700' ] || fail 'it has no place to remember names'
no_program_runs || fail 'a capture program runs for nobody'

step 'frames come, by both ways, from a capture program with its own user'
# Up to three times: a machine that stands still for two seconds costs a subscription.
watch() { # transport
    "${member[@]}" fb-client --address "$address" --source bars --transport "$1" --frames 20 --seconds 10 \
        --checksum > /tmp/frames && [ "$(frames_of /tmp/frames)" -ge 20 ]
}
for transport in bus peer peer-own-socket; do
    watch $transport || watch $transport || watch $transport || fail "$transport: $(cat /tmp/frames)"
done

step 'the program runs in an instance of its own, and ends with the last who watches'
rm /tmp/frames
"${member[@]}" fb-client --address "$address" --source bars --seconds 60 --stay > /tmp/frames &
client=$!
until_true 10 grep -qs '"frame"' /tmp/frames
[ "$(count_programs)" = 1 ] || fail "$(count_programs) programs"
program=$(pgrep -x framebus-patter)
[ "$(ps -o user:20= -p "$program")" = framebus-capture ] || fail 'it runs as somebody else'
grep -q 'framebus-capture@.*\.service' "/proc/$program/cgroup" || fail 'it runs in another unit'
[ "$(readlink "/proc/$program/fd/0")" = /dev/null ] || fail 'its stdin is not null'
[[ $(readlink "/proc/$program/fd/3") = socket:* ]] || fail 'its file descriptor 3 is not its channel'
grep -q 'CapEff:\s*0*$' "/proc/$program/status" || fail 'it has capabilities'

step 'a capture program that is killed is started again, the subscription lives on'
kill -KILL "$program"
another_runs() { [ "$(count_programs)" = 1 ] && [ "$(pgrep -x framebus-patter)" != "$program" ]; }
until_true 10 another_runs
before=$(frames_of /tmp/frames)
more() { [ "$(frames_of /tmp/frames)" -gt $((before + 20)) ]; }
until_true 10 more
! grep -q '"ended"' /tmp/frames || fail 'the subscription ended'
kill "$client"
wait "$client" || true
until_true 10 no_program_runs
no_instance() { [ -z "$(systemctl list-units --all --plain --no-legend 'framebus-capture@*')" ]; }
until_true 10 no_instance

step 'a source whose program does not exist says so'
if "${member[@]}" fb-client --address "$address" --source broken --seconds 5 > /tmp/broken; then
    fail 'it is said to work'
fi
grep -q 'cannot run .*framebus-nonexistent: No such file or directory' /tmp/broken || {
    cat /tmp/broken
    fail 'it does not say so'
}

step 'what a capture program may not do'
mknod -m 666 /dev/fb-test c 1 11
python3 /usr/local/share/probe.py 2> /tmp/by-root
grep -q 'probe: done' /tmp/by-root || fail "the probe itself: $(cat /tmp/by-root)"
! "${member[@]}" fb-client --address "$address" --source probe --seconds 5 > /tmp/probe || fail 'it is no program'
probed() { journalctl --sync && journalctl -o cat | grep -q '^probe: done'; }
until_true 10 probed
journalctl -o cat | grep '^probe: ' > /tmp/by-program
while read -r name allowed; do
    ! grep -q "^probe: $name allowed" /tmp/by-program || [ "$allowed" = yes ] || fail "it may: $name"
    grep -q "^probe: $name allowed" /tmp/by-program || [ "$allowed" = no ] || fail "it may not: $name"
    # what nobody may here shows nothing
    grep -q "^probe: $name allowed" /tmp/by-root || echo "not shown: $(grep "^probe: $name " /tmp/by-root)"
done <<'LIST'
device no
inet no
inet6 no
netlink no
packet no
setuid no
privileges no
suid-file no
ptrace no
etc no
usr no
var no
run no
home no
processes no
namespace no
mount no
host-name no
clock no
write-execute no
real-time no
more-memory no
memory no
tmp yes
null yes
unix yes
LIST
rm /dev/fb-test
for what in MemoryMax=1073741824 MemorySwapMax=0 TasksMax=64 OOMScoreAdjust=500; do
    [ "$(systemctl show -p "${what%%=*}" framebus-capture@x.service)" = "$what" ] || fail "the unit has not $what"
done

step 'a stranger may look at the interfaces, and nothing else'
"${stranger[@]}" busctl call org.framebus /org/framebus org.freedesktop.DBus.Peer Ping
"${stranger[@]}" busctl call org.framebus /org/framebus org.freedesktop.DBus.Introspectable Introspect \
    > /dev/null
for call in 'org.framebus.Manager1 Resolve s bars' 'org.framebus.Manager1 Watch' 'org.framebus.Manager1 Who' \
    'org.freedesktop.DBus.ObjectManager GetManagedObjects' \
    'org.freedesktop.DBus.Properties GetAll s org.framebus.Manager1'; do
    # shellcheck disable=SC2086
    if "${stranger[@]}" busctl call org.framebus /org/framebus $call 2> /tmp/error; then
        fail "a stranger called $call"
    fi
    grep -qi 'access denied\|rejected' /tmp/error || fail "another error: $(cat /tmp/error)"
done
status=0
"${stranger[@]}" fb-client --address "$address" --source bars --seconds 3 > /tmp/stranger || status=$?
[ $status = 3 ] || fail "a stranger's fb-client says $status"
knock='import socket; socket.socket(socket.AF_UNIX).connect("/run/framebus/capture")'
if "${stranger[@]}" python3 -c "$knock" 2> /tmp/error; then
    fail 'a stranger reached the capture socket'
fi
grep -q PermissionError /tmp/error || fail "another error: $(cat /tmp/error)"

step 'kill -9 of the broker heals with the next call'
first=$(main_pid)
kill -KILL "$first"
until_true 10 test ! -e "/proc/$first"
manager Resolve s bars || fail 'the call was not answered'
second=$(main_pid)
[ "$second" != 0 ] && [ "$second" != "$first" ] || fail 'it is the same one'
"${member[@]}" fb-client --address "$address" --source bars --frames 5 --seconds 10 > /tmp/frames ||
    fail "fb-client says $?"

step 'kill -9 of the broker while frames flow leaves no program behind'
rm /tmp/frames
"${member[@]}" fb-client --address "$address" --source bars --seconds 20 > /tmp/frames &
client=$!
until_true 10 grep -qs '"frame"' /tmp/frames
kill -KILL "$(main_pid)"
wait "$client" || true
until_true 10 no_program_runs

step 'an idle broker ends, and no call is lost in that'
sed -i 's|^ExecStart=.*|& --idle-timeout=0.002 --log-level=debug|' /ns-run/units/framebus.service
systemctl daemon-reload
systemctl stop framebus.service
hammer() {
    local i failed=0
    for ((i = 0; i < rounds; i++)); do
        manager Resolve s bars > /dev/null || failed=1
        busctl --timeout=10 get-property org.framebus /org/framebus org.framebus.Manager1 Epoch \
            > /dev/null || failed=1
    done
    return $failed
}
jobs_pids=()
for _ in 1 2 3; do
    hammer 2>> /tmp/hammer &
    jobs_pids+=($!)
done
for pid in "${jobs_pids[@]}"; do
    wait "$pid" || fail "a call was lost: $(head -3 /tmp/hammer)"
done
gone() { [ "$(active framebus.service)" = inactive ]; }
until_true 10 gone
journalctl --sync
[ -d /run/framebus-broker ] || fail 'what it had remembered is gone with it'
starts=$(journalctl -t framebusd -o cat | grep -c 'idle: leaving' || true)
[ "$starts" -ge "$rounds" ] || fail "$starts starts are too few to show anything"
echo "$((3 * 2 * rounds)) calls, $starts starts"

step 'the bus policy, seen from each user'
python3 /usr/local/share/policy.py "$address"

/usr/local/share/session.sh "$FB_TEST_BUS"
echo ok
