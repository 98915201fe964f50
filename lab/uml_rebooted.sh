#!/bin/bash
# What a User Mode Linux kernel executes in its own place when its host reboots (see uml.py). Its former helper
# processes still hold the host's disk and network interface: they go, and the status asks for a new start.
read -r -a helpers < "/proc/$$/task/$$/children"
[ "${#helpers[@]}" -eq 0 ] || kill -KILL "${helpers[@]}"
exit 133
