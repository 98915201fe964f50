#!/bin/bash
# keep_running.sh NAME [VARIABLE=VALUE…] COMMAND…: runs the command, called NAME, and again each time it ends with 133.
# That is how a host's program says that its host rebooted where no init system keeps a unit for it. The variables are
# in the environment of the command alone.
name=$1
shift
settings=()
while [[ $1 == [A-Z]*=* ]]; do
    settings+=("$1")
    shift
done
while :; do
    (
        for setting in "${settings[@]}"; do
            export "${setting?}"
        done
        exec -a "$name" "$@"
    )
    status=$?
    [ "$status" -eq 133 ] || exit "$status"
done
