#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The virtual machine itself: it starts, has a camera, the camera gives 30 frames, and the machine hands on
# the folder, the variables, the output and the status of what it runs.

set -euo pipefail

here=$(dirname "$(realpath "$0")")
[ -x /usr/bin/v4l2-ctl ] || { echo 'SKIP: v4l2-ctl is missing (apt-get install v4l-utils)'; exit 77; }

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

guest() {
    set -e
    echo "argument: $1, variable: $FB_TEST_WORDS, folder: $PWD"
    v4l2-ctl -d /dev/video0 --set-fmt-video=width=640,height=360,pixelformat=NV12 --set-parm=30 > /dev/null
    v4l2-ctl -d /dev/video0 --stream-mmap=4 --stream-count=30 --stream-to=/mnt/out/frames > /dev/null 2>&1
    exit 42
}

status=0
script="$(declare -f guest); guest \"\$@\""
FB_TEST_WORDS='two words' "$here/vm-run.sh" -o "$out" bash -c "$script" guest "it's" |
    tee "$out/log" || status=${PIPESTATUS[0]}
[ $status = 77 ] && exit 77

fail() {
    echo "FAIL: $*"
    exit 1
}

[ $status = 42 ] || fail "status $status instead of 42"
grep -qxF "argument: it's, variable: two words, folder: $PWD" "$out/log" || fail "what the guest got"
size=$((640 * 360 * 3 / 2))
got=$(stat -c %s "$out/frames")
[ "$got" = $((30 * size)) ] || fail "$got bytes instead of 30 frames"
sums=$(split --bytes=$size --filter='sha256sum' "$out/frames" | sort -u | wc -l)
[ "$sums" -gt 20 ] || fail "only $sums different frames"
[ ! -e "$out/.vm" ] || fail "vm-run.sh left something behind"
echo "ok: 30 frames, $sums different"
