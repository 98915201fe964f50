#!/usr/bin/python
"""Measure on a host what preflight judges."""

from __future__ import annotations

import os
import socket
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_measurements
short_description: Measure free space, the clock and name resolution of a host
description:
  - Reads only. Runs on Python 3.8 and needs nothing but the standard library.
options:
  paths:
    description: Paths whose file system's free space is wanted; they need not exist yet.
    type: list
    elements: path
    default: []
  names:
    description: Names that this host should be able to resolve.
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
  description: Bytes that an ordinary user may still write, by path.
  type: dict
  returned: always
size_bytes:
  description: Size of the file system in bytes, by path.
  type: dict
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
    """Return the state of the file system that path is or will be on."""
    while not os.path.exists(path):
        path = os.path.dirname(path.rstrip("/")) or "/"
    return os.statvfs(path)


def resolves(name):
    """Tell whether this host's resolver knows an address of the name."""
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
    # The clock comes first: resolving a name may take seconds.
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
