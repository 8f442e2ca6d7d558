#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test-activation.sh daemon|broker: the system's Framebus as it is installed, with its own bus policy, service
# file, units and users, under systemd as PID 1: activation.sh, policy.py and session.sh are run inside.
#
# FB_BUILD: the build folder, built, with prefix /usr or /usr/local. FB_PREFIX and FB_SYSCONFDIR: from its
# configuration. FB_FULL=1: for longer.

set -euo pipefail

bus=$1
here=$(dirname "$(realpath "$0")")

case $FB_PREFIX in
/usr | /usr/local) ;;
*)
    echo "SKIP: neither systemd nor the bus looks into $FB_PREFIX"
    exit 77
    ;;
esac

top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
folder=$top/units
mkdir "$folder"

DESTDIR=$folder meson install -C "$FB_BUILD" --no-rebuild --quiet > "$top/log" 2>&1 || {
    cat "$top/log"
    exit 1
}

# systemd is told to read this folder alone, and sysusers the one below /usr/lib.
cp "$folder$FB_PREFIX"/lib/systemd/system/framebus* "$folder/"
mkdir -p "$folder/usr/lib/sysusers.d"
cp -u "$folder$FB_PREFIX"/lib/sysusers.d/framebus.conf "$folder/usr/lib/sysusers.d/"

install -D -m 755 "$FB_BUILD/tests/bus/client/fb-client" "$folder/usr/local/bin/fb-client"
install -D -m 644 "$here/policy.py" "$folder/usr/local/share/policy.py"
install -D -m 755 "$here/probe.py" "$folder/usr/local/share/probe.py"
install -D -m 755 "$here/session.sh" "$folder/usr/local/share/session.sh"
echo 'u fb-test-user - "a user for this test" /var/lib/fb-test-user' > "$folder/usr/lib/sysusers.d/test.conf"
install -m 755 "$here/activation.sh" "$folder/test"

mkdir -p "$folder$FB_SYSCONFDIR/framebus/sources.d"
cat > "$folder$FB_SYSCONFDIR/framebus/sources.d/bars.conf" <<'CONF'
[Source]
Description=A picture to test with
Exec=framebus-pattern --size=320x240 --rate=50
CONF
cat > "$folder$FB_SYSCONFDIR/framebus/sources.d/probe.conf" <<'CONF'
[Source]
Exec=/usr/local/share/probe.py
CONF
cat > "$folder$FB_SYSCONFDIR/framebus/sources.d/broken.conf" <<'CONF'
[Source]
Exec=framebus-nonexistent
CONF

export FB_TEST_BUS=$bus
limit=$(awk -v s="${FB_TIMEOUT_SCALE:-1}" -v full="${FB_FULL:-0}" 'BEGIN { print (full ? 1500 : 150) * s }')
"$here/ns-run.sh" -b "$bus" -t "$limit" "$folder"
