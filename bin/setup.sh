# Sourced by the commands beside it: prints stages with their times, and makes the project's own environment.
# Safe to run again at any time; it installs only what is missing.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH" LC_ALL=C.UTF-8 PYTHONPATH=

started=$SECONDS
doing=
reason=

say() { printf '\n== %s (%d s)\n' "$1" "$((SECONDS - started))"; }

stage() { # stage TITLE COMMAND…: runs it and prints its time; a failure ends the script with the reason last
    local from=$SECONDS
    doing=$1
    shift
    say "$doing"
    # Not in an `if`: that would switch errexit off inside the command.
    "$@"
    printf -- '-- %s: %d s\n' "$doing" "$((SECONDS - from))"
    doing=
}

fail() {
    reason=$1
    exit 1
}

before_exit() { :; } # what a script has to end

at_exit() {
    local status=$?
    before_exit
    if [ -n "${service_policy:-}" ]; then rm -f "$service_policy"; fi
    if [ "$status" != 0 ]; then
        printf '\nFAILED after %d s: %s\n' "$((SECONDS - started))" "${reason:-$doing ended with status $status}" >&2
    fi
}
trap at_exit EXIT

missing_packages() { # names of the packages in bin/packages that are not installed
    local name
    sed 's/#.*//' bin/packages | while read -r name; do
        [ -n "$name" ] || continue
        case $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) in
        *' ok installed') ;;
        *) echo "$name" ;;
        esac
    done
}

install_packages() {
    local missing
    missing=$(missing_packages)
    if [ -z "$missing" ]; then return; fi
    [ "$(id -u)" = 0 ] || fail "packages are missing; as root, run: apt-get install ${missing//$'\n'/ }"
    # A server package starts its service when it is installed; nothing here wants one on this machine.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        service_policy=/usr/sbin/policy-rc.d
        install -m 755 /dev/stdin "$service_policy" <<<$'#!/bin/sh\nexit 101'
    fi
    apt-get update -q
    # shellcheck disable=SC2086 # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
    if [ -n "${service_policy:-}" ]; then
        rm -f "$service_policy"
        service_policy=
    fi
}

install_environment() { # .venv with exactly what requirements/dev.txt pins, and the project itself
    local pins
    pins=$(cat requirements/dev.txt pyproject.toml | sha256sum)
    if [ "$(cat .venv/pins 2>/dev/null)" = "$pins" ]; then return; fi
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python 3.11 or newer is needed, here is $(python3 --version)"
    python3 -m venv .venv
    # pip brings uv, at the version that the pins name, and uv the rest, a good deal faster.
    pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r <(awk '/^uv==/ {on = 1} on; on && !/\\$/ {exit}' requirements/dev.txt)
    uv pip sync --quiet --require-hashes --compile-bytecode requirements/dev.txt
    uv pip install --quiet --no-deps --editable .
    echo "$pins" >.venv/pins
}

setup() {
    stage "Debian packages" install_packages
    stage "Python environment" install_environment
}
