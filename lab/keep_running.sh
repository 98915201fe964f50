#!/bin/bash
# keep_running.sh NAME [VARIABLE=VALUE…] COMMAND…: runs the command as NAME, and again each time its status is 133. With
# that status a program that runs a host reports a reboot of the host; without an init system nothing else would restart
# it. Only the command gets the variables in its environment.
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
