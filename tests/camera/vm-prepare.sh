#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# vm-prepare.sh: gets a Debian kernel ready for vm-run.sh and prints the folder that holds it.
#
# The folder has vmlinux (unpacked: the emulated machine would take seconds to do it) and base.cpio (busybox
# and the modules in the order in which they are to be loaded). It is made once for each kernel package and
# kept in $FB_VM_CACHE, by default .cache/vm at the top of the source tree. Nothing is installed; any user
# will do.
#
# Status: 0; 77 with a reason on stderr if this machine lacks a program or cannot get a kernel.

set -euo pipefail

# 6.12 has udmabuf and the dma-buf heaps built in, which bookworm's own 6.1 lacks. Later it is the default.
packages=(linux-image-6.12-amd64 linux-image-amd64)
modules=(virtio_pci 9p 9pnet_virtio overlay vivid vgem)
# Drivers of screens: loaded on demand, so listed apart.
screens=(virtio-gpu bochs)
omit=('*/drivers/net' '*/drivers/gpu/drm/amd' '*/drivers/infiniband' '*/sound' './usr/share')

here=$(dirname "$(realpath "$0")")
cache=${FB_VM_CACHE:-$here/../../.cache/vm}

skip() {
    echo "SKIP: $*" >&2
    exit 77
}

need() { # program, package
    PATH=$PATH:/usr/sbin:/sbin command -v "$1" > /dev/null || skip "$1 is missing (apt-get install $2)"
}

# The versioned package that the first known meta package stands for, as NAME=VERSION.
find_package() {
    { apt-cache show --no-all-versions "${packages[@]}" 2> /dev/null || true; } |
        sed -n 's/^Depends:.*\(linux-image-[0-9][^ ]*-amd64\) (= \([^ )]*\)).*/\1=\2/p' | head -n 1
}

# The last one that was prepared with the same modules: for a machine that is offline.
find_cached() {
    { ls -td "$cache"/*"-$tag" 2> /dev/null || true; } | head -n 1
}

# vmlinux out of vmlinuz: the compressed image starts at one of the magic numbers in it.
extract_vmlinux() {
    python3 - "$1" "$2" <<'PYTHON'
import subprocess
import sys

image = open(sys.argv[1], 'rb').read()
for magic, command in ((b'\x28\xb5\x2f\xfd', 'zstd -dqc'), (b'\xfd7zXZ\0', 'xz -dc --single-stream')):
    start = image.find(magic)
    while start >= 0:
        found = subprocess.run(command.split(), input=image[start:], capture_output=True)
        if found.stdout[:4] == b'\x7fELF':
            open(sys.argv[2], 'wb').write(found.stdout)
            sys.exit(0)
        start = image.find(magic, start + 1)
sys.exit('no vmlinux in ' + sys.argv[1])
PYTHON
}

# The modules in load order, unpacked, with the list of those that no earlier list has.
collect_modules() { # tree, version, output folder, list, module...
    local tree=$1 version=$2 folder=$3 list=$4 file name
    shift 4
    for name in "$@"; do
        modprobe -d "$tree" -S "$version" --show-depends --ignore-install "$name"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
        name=$(basename "$file")
        name=${name%.xz}
        name=${name%.zst}
        [ ! -e "$folder/$name" ] || continue
        case $file in
        *.xz) xz -dc "$file" ;;
        *.zst) zstd -dqc "$file" ;;
        *) cat "$file" ;;
        esac > "$folder/$name"
        echo "${name%.ko}" >> "$folder/$list"
    done
}

build() { # package=version, output folder
    local version exclude=() pattern
    mkdir "$work/tree" "$work/deb"
    if ! (cd "$work/deb" && apt-get download -qq "$1" > "$work/log" 2>&1); then
        skip "cannot download $1: $(tail -n 1 "$work/log")"
    fi
    for pattern in "${omit[@]}"; do
        exclude+=("--exclude=$pattern")
    done
    dpkg --fsys-tarfile "$work"/deb/*.deb |
        tar -x -C "$work/tree" "${exclude[@]}" --wildcards './boot/vmlinuz*' '*/lib/modules/*'
    [ -e "$work/tree/lib" ] || ln -s usr/lib "$work/tree/lib"
    version=$(ls "$work/tree/lib/modules")
    depmod -b "$work/tree" "$version"

    mkdir -p "$work/new" "$work/root"/{bin,m,proc,sys,dev,newroot,host,ov}
    extract_vmlinux "$work/tree/boot/vmlinuz-$version" "$work/new/vmlinux"
    cp /bin/busybox "$work/root/bin/"
    ln -s busybox "$work/root/bin/sh"
    collect_modules "$work/tree" "$version" "$work/root/m" order "${modules[@]}"
    collect_modules "$work/tree" "$version" "$work/root/m" order.screens "${screens[@]}"
    (cd "$work/root" && find . | cpio -o -H newc --quiet -R 0:0) > "$work/new/base.cpio"
    mv "$work/new" "$2"
}

if [ $# != 0 ]; then
    sed -n '/^# vm-prepare/,/^$/s/^# \{0,1\}//p' "$0"
    exit 2
fi
export PATH=$PATH:/usr/sbin:/sbin
[ "$(uname -m)" = x86_64 ] || skip "only for x86-64 machines so far"
need apt-cache apt
need qemu-system-x86_64 qemu-system-x86
need busybox busybox-static
need modprobe kmod
need cpio cpio
need xz xz-utils
need zstd zstd
need python3 python3

tag=$(echo "${modules[*]} ${screens[*]}" | sha256sum | cut -c 1-8)
package=$(find_package)
if [ -z "$package" ]; then
    folder=$(find_cached)
    [ -n "$folder" ] || skip "apt knows no ${packages[*]} (apt-get update?)"
    echo "$folder"
    exit 0
fi
mkdir -p "$cache"
cache=$(realpath "$cache")
folder=$cache/$(echo "$package" | tr -c 'A-Za-z0-9.+\n-' _)-$tag
if [ ! -d "$folder" ]; then
    exec 9> "$cache/lock"
    flock 9
fi
if [ ! -d "$folder" ]; then
    work=$(mktemp -d "$cache/work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    build "$package" "$folder"
fi
echo "$folder"
