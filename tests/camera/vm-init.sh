#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The first program in the virtual machine of vm-run.sh, run by busybox from the initial RAM disk.
# It loads the modules, puts a writable overlay on the host's read-only root, runs /mnt/out/.vm/command in it,
# leaves the status in /mnt/out/.vm/status and ends the machine.

b=/bin/busybox
export PATH=/bin
root=/newroot
share=trans=virtio,version=9p2000.L,msize=262144

# isa-debug-exit ends QEMU at once; powering off is the way if that device is missing.
finish() {
    $b sync
    printf '\020' | $b dd of=$1/dev/port bs=1 seek=244 2> /dev/null
    $b poweroff -f
}

die() {
    echo "vm-init: $*"
    finish ''
}

$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
$b stty -opost < /dev/console

for module in $($b grep -v -x vivid /m/order); do
    $b insmod /m/$module.ko || die "cannot load $module"
done
$b mount -t 9p -o ro,$share,cache=loose hostroot /host || die "cannot mount the host's root"
$b mount -t tmpfs -o size=75% overlay /ov || die "no tmpfs"
$b mkdir /ov/upper /ov/work
$b mount -t overlay -o lowerdir=/host,upperdir=/ov/upper,workdir=/ov/work overlay $root || die "no overlay"

for folder in proc sys dev; do
    $b mount --move /$folder $root/$folder
done
$b mkdir -p $root/dev/pts $root/dev/shm $root/mnt/out
$b mount -t devpts -o ptmxmode=666 devpts $root/dev/pts
$b mount -t tmpfs -o mode=1777 shm $root/dev/shm
$b mount -t tmpfs -o mode=755 run $root/run
$b mount -t cgroup2 cgroup $root/sys/fs/cgroup
$b ln -s /proc/self/fd $root/dev/fd
$b rm -f $root/.dockerenv
$b mount -t 9p -o $share,cache=none out $root/mnt/out || die "cannot mount /mnt/out"
$b ip link set lo up

vivid=$($b cat $root/mnt/out/.vm/vivid)
if [ "$vivid" != none ]; then
    $b insmod /m/vivid.ko $vivid || die "cannot load vivid ($vivid)"
fi

if [ -e $root/mnt/out/.vm/screens ]; then
    echo N > $root/sys/module/drm_kms_helper/parameters/fbdev_emulation || die "cannot keep the console off"
    for module in $($b cat /m/order.screens); do
        $b insmod /m/$module.ko || die "cannot load $module"
    done
fi

path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
$b chroot $root /usr/bin/env -i PATH=$path HOME=/root LANG=C.UTF-8 /bin/bash /mnt/out/.vm/command
echo $? > $root/mnt/out/.vm/status
finish $root
