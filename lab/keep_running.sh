#!/bin/sh
# Runs the command line it is given, again each time it ends with 133. That is how systemd-nspawn says that its
# host rebooted where no init system keeps a unit for it.
while :; do
    "$@"
    status=$?
    [ "$status" -eq 133 ] || exit "$status"
done
