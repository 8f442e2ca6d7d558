# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# To be sourced by bash. packages_install demo|check: installs what is missing of the list in scripts/packages.
#
# It does nothing, and needs no network, if all is there. Where packages cannot be had it says which ones are
# missing and returns 0: the build tells whether they were really needed. (Other systems than Debian have
# them under other names.)

packages_list() { # demo|check
    awk -v for_check="$([ "$1" = check ] && echo 1)" \
        '$1 == "demo" || (for_check && $1 == "check") { print $2 }' "$(dirname "${BASH_SOURCE[0]}")/packages"
}

packages_missing() { # demo|check
    local list there

    list=$(packages_list "$1")
    # shellcheck disable=SC2086
    there=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $list 2> /dev/null | sed -n 's/^installed //p')
    grep -vxF -e "$there" <<< "$list" || true
}

packages_install() { # demo|check
    local missing as=() log

    if ! command -v dpkg-query apt-get > /dev/null; then
        echo "Not a Debian system: please see scripts/packages for what has to be installed." >&2
        return 0
    fi
    missing=$(packages_missing "$1")
    [ -n "$missing" ] || return 0

    if [ "$(id -u)" != 0 ]; then
        as=(sudo)
        [ -t 0 ] || as+=(-n)
    fi
    # shellcheck disable=SC2086
    echo "Installing:" $missing
    log=$(mktemp)
    as+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0)
    # shellcheck disable=SC2086
    if ! { "${as[@]}" update && "${as[@]}" install --no-install-recommends $missing; } \
            > "$log" 2>&1 < /dev/null; then
        tail -n 5 "$log" >&2
        # shellcheck disable=SC2086
        echo "Could not be installed; trying without:" $missing >&2
    fi
    rm -f "$log"
}
