# Sourced by the commands beside it: prints stages with their times, and makes the project's own environment.
# Safe to run again at any time; it installs only what is missing.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH" LC_ALL=C.UTF-8 PYTHONPATH=

started=$SECONDS

say() { printf '\n== %s (%d s)\n' "$1" "$((SECONDS - started))"; }

stage() { # stage TITLE COMMAND…: runs it; a failure ends the script with the reason last
    local title=$1 from=$SECONDS
    shift
    say "$title"
    if ! "$@"; then
        fail "$title failed after $((SECONDS - from)) s: $*"
    fi
    printf -- '-- %s: %d s\n' "$title" "$((SECONDS - from))"
}

fail() {
    printf '\nFAILED: %s\n' "$1" >&2
    exit 1
}

missing_packages() { # names of the packages in bin/packages that are not installed
    local name
    sed 's/#.*//' bin/packages | while read -r name; do
        if [ -n "$name" ] && ! dpkg-query -W -f '${Status}\n' "$name" 2>/dev/null | grep -q 'ok installed'; then
            echo "$name"
        fi
    done
}

install_packages() {
    local missing
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "as root, run: apt-get install" $missing
        return 1
    fi
    # A server package starts its service when it is installed; nothing here wants one on this machine.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d.bbb-fleet
    chmod 755 /usr/sbin/policy-rc.d.bbb-fleet
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        ln -s policy-rc.d.bbb-fleet /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d /usr/sbin/policy-rc.d.bbb-fleet' EXIT
    fi
    apt-get update -q
    # shellcheck disable=SC2086 # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
    rm -f /usr/sbin/policy-rc.d.bbb-fleet
    if [ -L /usr/sbin/policy-rc.d ]; then rm -f /usr/sbin/policy-rc.d; fi
    trap - EXIT
}

install_environment() { # .venv with exactly what requirements/dev.txt pins, and the project itself
    local pins
    pins=$(cat requirements/dev.txt pyproject.toml | sha256sum)
    if [ "$(cat .venv/pins 2>/dev/null)" = "$pins" ]; then return 0; fi
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "Python 3.11 or newer is needed, here is $(python3 --version)"
        return 1
    }
    python3 -m venv .venv
    # pip brings uv, at the version that the pins name, and uv the rest, a good deal faster.
    pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r <(awk '/^uv==/ {on = 1} on; on && !/\\$/ {exit}' requirements/dev.txt)
    uv pip sync --quiet --require-hashes requirements/dev.txt
    uv pip install --quiet --no-deps --editable .
    echo "$pins" >.venv/pins
}

setup() {
    stage "Debian packages" install_packages
    stage "Python environment" install_environment
}
