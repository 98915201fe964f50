#!/bin/bash
# keep_running.sh NAME COMMAND…: runs the command, called NAME, and again each time it ends with 133. That is how a
# host's program says that its host rebooted where no init system keeps a unit for it.
name=$1
shift
while :; do
    (exec -a "$name" "$@")
    status=$?
    [ "$status" -eq 133 ] || exit "$status"
done
