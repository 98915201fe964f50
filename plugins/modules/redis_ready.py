#!/usr/bin/python
"""Check that a Redis server is ready."""

from __future__ import annotations

import socket
import ssl

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: redis_ready
short_description: Check over TLS that a Redis server is ready
description:
  - Logs in, and fails unless the server answers, has loaded its data and can write it.
  - Needs only Python's standard library.
options:
  host:
    description: Name of the server, which its certificate must contain.
    type: str
    required: true
  port:
    description: TCP port.
    type: int
    default: 6379
  password:
    description: Password of the default user.
    type: str
    required: true
  ca_file:
    description: PEM of the authority that signed the server's certificate.
    type: path
    required: true
  timeout:
    description: Timeout in seconds of each network operation.
    type: float
    default: 5.0
attributes:
  check_mode:
    support: full
author: [bbb-fleet]
"""

EXAMPLES = r"""
- name: Check that Redis is ready
  redis_ready:
    host: localhost
    password: "{{ redis_password }}"
    ca_file: /etc/bbb-fleet/ca.pem
"""

RETURN = r"""
version:
  description: The server's version.
  type: str
  returned: success
"""


class RefusedError(Exception):
    """The server answered with an error."""


def command(stream, *words):
    """Send one command in Redis's protocol (RESP2) and return its reply as text."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(raw), raw))
    stream.write(b"".join(parts))
    stream.flush()
    head = stream.readline().decode().rstrip("\r\n")
    if not head or head.startswith("-"):
        raise RefusedError(head[1:] or "connection closed")
    if head.startswith("$"):
        return stream.read(int(head[1:]) + 2).decode()[:-2]
    return head[1:]


def server_info(params):
    """Return the server's INFO as a dict."""
    context = ssl.create_default_context(cafile=params["ca_file"])
    address = (params["host"], params["port"])
    with (
        socket.create_connection(address, params["timeout"]) as raw,
        context.wrap_socket(raw, server_hostname=params["host"]) as connection,
    ):
        stream = connection.makefile("rwb")
        command(stream, "AUTH", params["password"])
        lines = command(stream, "INFO").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def find_problem(info):
    """Return why the server is not ready, or None if it is ready."""
    if info.get("loading") != "0":
        return "it is still loading its data"
    if info.get("aof_enabled") == "1" and info.get("aof_last_write_status") != "ok":
        return "it cannot write its append-only file: is its disk full?"
    return None


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "default": 6379},
            "password": {"type": "str", "required": True, "no_log": True},
            "ca_file": {"type": "path", "required": True},
            "timeout": {"type": "float", "default": 5.0},
        },
        supports_check_mode=True,
    )
    server = "Redis at {host}:{port}".format(**module.params)
    try:
        info = server_info(module.params)
    except (OSError, RefusedError, ValueError) as error:
        module.fail_json(msg=f"{server} is not ready: {error}")
    problem = find_problem(info)
    if problem:
        module.fail_json(msg=f"{server} is not ready: {problem}")
    module.exit_json(changed=False, version=info.get("redis_version", ""))


if __name__ == "__main__":
    main()
