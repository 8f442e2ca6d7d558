#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# vm-run.sh [-o FOLDER] [-v OPTIONS] [-g DEVICES] [-m MIB] [-t SECONDS] [--] COMMAND [ARGUMENT...]
#
# Runs COMMAND as root in a virtual machine that has virtual cameras (the kernel's vivid driver) and vgem.
#
# The machine sees this host's root at the same paths, read-only, with an overlay in memory: programs,
# libraries and the build folder are used as they are, what is written is gone at the end. /run, /dev/shm
# and /sys/fs/cgroup are its own. Neither udev nor systemd nor a bus runs. The current folder and the
# variables FB_* and PYTHON* are handed on. FB_TIMEOUT_SCALE is 10 unless set: every instruction is
# emulated.
#
#   -o FOLDER   what COMMAND writes to /mnt/out appears there (sockets and memory files belong elsewhere)
#   -v OPTIONS  vivid's parameters, or none; default: n_devs=1 node_types=0x1 num_inputs=1 input_types=0, that
#               is one webcam, /dev/video0, which is root's alone (chmod it for others)
#               Two of them: n_devs=2 node_types=0x1,0x1 num_inputs=1,1 input_types=0,0
#   -g DEVICES  QEMU's graphics devices, such as 'virtio-gpu-pci bochs-display'; default: none. The kernel draws
#               nothing on them: their screens are off until a program sets a mode
#   -m MIB      memory, default 1024
#   -t SECONDS  limit of the whole run, default 300
#
# Status: COMMAND's; 77 with a reason if there is no QEMU or kernel to be had; 124 after the time limit;
# 125 if the machine died twice (once is forgiven: it is retried).
#
# To run the broker on a camera, give a test that starts a private bus, framebusd and clients, as others do:
#
#   FB_BUILD=build FB_BUS=broker PYTHONPATH=tests/harness \
#       tests/camera/vm-run.sh -o /tmp/result /usr/bin/python3 tests/camera/test_camera.py
#
# with /dev/video0 named in the configuration's sources.d, or found by the broker itself. Faults are made with
# v4l2-ctl (inject_*, disconnect, percentage_of_dropped_buffers) and by unbinding the driver:
# echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind. Expect gaps in the device's sequence.

set -euo pipefail

here=$(dirname "$(realpath "$0")")
out= vivid='n_devs=1 node_types=0x1 num_inputs=1 input_types=0' graphics= memory=1024 limit=300

usage() {
    sed -n '/^# vm-run/,/^$/s/^# \{0,1\}//p' "$0"
    exit "$1"
}

while getopts 'o:v:g:m:t:h' option; do
    case $option in
    o) out=$OPTARG ;;
    v) vivid=$OPTARG ;;
    g) graphics=$OPTARG ;;
    m) memory=$OPTARG ;;
    t) limit=$OPTARG ;;
    h) usage 0 ;;
    *) usage 2 >&2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage 2 >&2

kernel=$("$here/vm-prepare.sh") || exit
work=$(mktemp -d)
trap 'rm -rf "$work" ${out:+"$out/.vm"}' EXIT
out=$(realpath "${out:-$work}")
[ -d "$out" ] || { echo "vm-run: $out is not a folder" >&2; exit 2; }
mkdir -p "$out/.vm"

# What the machine runs: the same folder, the variables of the tests, the command.
export FB_TIMEOUT_SCALE=${FB_TIMEOUT_SCALE:-10}
{
    for name in "${!FB_@}" "${!PYTHON@}"; do
        printf 'export %s=%q\n' "$name" "${!name}"
    done
    printf 'cd %q\n' "$PWD"
    printf '%q ' "$@"
    echo
} > "$out/.vm/command"
echo "$vivid" > "$out/.vm/vivid"
devices=()
for device in $graphics; do
    devices+=(-device "$device")
done
[ -z "$graphics" ] || : > "$out/.vm/screens"

mkdir "$work/init"
install -m 755 "$here/vm-init.sh" "$work/init/init"
(cat "$kernel/base.cpio"; cd "$work/init" && echo init | cpio -o -H newc --quiet -R 0:0) > "$work/initrd"

# One processor and no KVM: nested KVM hangs or dies on some hosts, and several emulated processors can trap
# in code that the kernel patches while it runs.
run_once() {
    rm -f "$out/.vm/status"
    timeout -k 5 "$limit" qemu-system-x86_64 -accel tcg -M q35 -cpu max -smp 1 -m "$memory" -nodefaults \
        -display none -no-reboot -serial stdio -kernel "$kernel/vmlinux" -initrd "$work/initrd" \
        -device isa-debug-exit,iobase=0xf4,iosize=4 "${devices[@]}" \
        -virtfs local,path=/,mount_tag=hostroot,security_model=none,readonly=on,multidevs=remap \
        -virtfs "local,path=$out,mount_tag=out,security_model=none,multidevs=remap" \
        -append 'console=ttyS0 quiet panic=-1 mitigations=off' < /dev/null
}

for attempt in 1 2; do
    status=0
    run_once || status=$?
    if [ -s "$out/.vm/status" ]; then
        exit "$(cat "$out/.vm/status")"
    elif [ $status = 124 ]; then
        echo "vm-run: not done within $limit s" >&2
        exit 124
    fi
    echo "vm-run: the machine died (attempt $attempt, QEMU's status $status)" >&2
done
exit 125
