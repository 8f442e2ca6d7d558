#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test-ns.sh daemon|broker: ns-run.sh itself. A small service is started by the system bus through systemd
# as its own user, obeys the bus policy, and comes back after a crash; status, output, variables and files
# arrive where they should; nothing stays behind.

set -euo pipefail

bus=$1
here=$(dirname "$(realpath "$0")")
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
folder=$top/units
mkdir -p "$folder"/etc/dbus-1/system.d "$folder"/usr/local/share/dbus-1/system-services \
    "$folder"/usr/lib/sysusers.d "$top/out"
install -m 644 "$here/../harness/service.py" "$folder/usr/local/share/service.py"
echo 'u fb-test-service - "a user for this test" /' > "$folder/usr/lib/sysusers.d/test.conf"

cat > "$folder/etc/dbus-1/system.d/org.example.Test.conf" <<'XML'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <policy user="fb-test-service"><allow own="org.example.Test"/></policy>
  <policy user="root"><allow send_destination="org.example.Test"/></policy>
</busconfig>
XML

cat > "$folder/usr/local/share/dbus-1/system-services/org.example.Test.service" <<'UNIT'
[D-BUS Service]
Name=org.example.Test
Exec=/bin/false
User=fb-test-service
SystemdService=example.service
UNIT

cat > "$folder/example.service" <<'UNIT'
[Service]
Type=dbus
BusName=org.example.Test
User=fb-test-service
ExecStart=/usr/bin/python3 /usr/local/share/service.py org.example.Test system
UNIT

cat > "$folder/test" <<'TEST'
#!/bin/bash
set -eux
as=(setpriv --reuid=daemon --regid=daemon --clear-groups)
pid() {
    busctl call org.example.Test /org/example/Test org.example.Test Pid | cut -d ' ' -f 2
}
[ "$FB_TEST_WORDS" = 'two "words" $x \' ]
[ "$(cat /proc/1/comm)" = systemd ]
[ "$(systemctl show -P ActiveState example.service)" = inactive ]
first=$(pid)
[ "$(ps -o user:20= -p "$first")" = fb-test-service ]
if "${as[@]}" busctl call org.example.Test /org/example/Test org.example.Test Pid; then
    exit 1  # the policy has a word for root only
fi
systemctl kill -s KILL example.service
while systemctl -q is-active example.service; do sleep 0.05; done
second=$(pid)
[ "$first" != "$second" ]
busctl --json=short call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus \
    GetConnectionUnixProcessID s org.freedesktop.DBus > /mnt/out/result
systemctl show -P ExecStart dbus.service >> /mnt/out/result
echo 'a line'
exit 42
TEST
chmod 755 "$folder/test"

fail() {
    echo "FAIL: $*"
    cat "$top/log"
    exit 1
}

# Its folders are made in our own, its cgroup is named after its process.
run() {
    "$here/ns-run.sh" -b "$bus" "$@" > "$top/log" 2>&1 &
    status=0
    wait $! || status=$?
    [ -z "$(find "$TMPDIR" -mindepth 1)" ] || fail "left behind: $(ls "$TMPDIR")"
    [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "framebus-test.$!")" ] || fail 'left its cgroup behind'
}

export TMPDIR=$top/tmp FB_TEST_WORDS='two "words" $x \'
mkdir "$TMPDIR"
run "$folder" "$top/out"
if [ $status = 77 ]; then
    cat "$top/log"
    exit 77
fi
[ $status = 42 ] || fail "status $status instead of 42"
grep -qx 'a line' "$top/log" || fail 'no output'
grep -q "dbus-$bus" "$top/out/result" || fail 'the wrong bus'

printf '#!/bin/sh\nexec sleep 60\n' > "$folder/test"
run -t 2 "$folder"
[ $status = 124 ] || fail "status $status instead of 124 after the time limit"

printf '#!/bin/sh\nexit 0\n' > "$folder/test"
run "$folder"
[ $status = 0 ] || fail "status $status instead of 0"
[ ! -s "$top/log" ] || fail 'output of a test that says nothing'
echo "ok: $bus"
