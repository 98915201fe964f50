#!/usr/bin/python
"""Measure free space, the clock and name resolution of a host."""

from __future__ import annotations

import os
import socket
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_measurements
short_description: Measure free space, the clock and name resolution of a host
description:
  - Changes nothing. Runs on Python 3.8 with its standard library alone.
options:
  paths:
    description: Paths whose file systems are measured; they need not exist yet.
    type: list
    elements: path
    default: []
  names:
    description: Names to resolve on this host.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
author: [bbb-fleet]
"""

EXAMPLES = r"""
- name: Measure the free space for recordings
  host_measurements:
    paths: [/srv/bbb-fleet]
"""

RETURN = r"""
free_bytes:
  description: Bytes that an ordinary user can still write, by path.
  type: dict
  returned: always
size_bytes:
  description: Size of the file system in bytes, by path.
  type: dict
  returned: always
clock_offset:
  description: Seconds that the host's clock is ahead of the controller's.
  type: float
  returned: always
clock_uncertainty:
  description: Seconds by which clock_offset may be wrong.
  type: float
  returned: always
time:
  description: The host's clock, in seconds since 1970.
  type: float
  returned: always
unresolved:
  description: Names that this host cannot resolve.
  type: list
  returned: always
"""


def file_system(path):
    """Return the statistics of the file system that contains or will contain the path."""
    while not os.path.exists(path):
        path = os.path.dirname(path.rstrip("/")) or "/"
    return os.statvfs(path)


def resolves(name):
    """Whether this host resolves the name to an address."""
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return False
    return True


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "default": []},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    # The clock is read first, because resolving a name may take seconds.
    now = time.time()
    systems = {path: file_system(path) for path in module.params["paths"]}
    module.exit_json(
        changed=False,
        time=now,
        free_bytes={path: system.f_bavail * system.f_frsize for path, system in systems.items()},
        size_bytes={path: system.f_blocks * system.f_frsize for path, system in systems.items()},
        unresolved=[name for name in module.params["names"] if not resolves(name)],
    )


if __name__ == "__main__":
    main()
