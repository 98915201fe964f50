#!/usr/bin/python
"""Read a node's machine-id and ssh host keys (runs on Python 3.8)."""

import base64
import glob
import hashlib
import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: bbb_node_identity
short_description: Read a node's machine-id and ssh host keys
description: Two hosts share these only if one is a copy of the other. Only public keys are read, and no secret.
options:
  machine_id_path:
    description: File with systemd's machine-id.
    type: path
    default: /etc/machine-id
  ssh_directory:
    description: Directory of the ssh server's keys.
    type: path
    default: /etc/ssh
author: ["The bbb-fleet authors"]
"""

EXAMPLES = r"""
- name: Read the node's machine-id and ssh host keys
  bbb_node_identity:
"""

RETURN = r"""
machine_id:
  description: The machine-id; empty if there is none.
  type: str
  returned: always
ssh_host_keys:
  description: Fingerprints of the ssh server's public keys, in ssh-keygen's format.
  type: list
  returned: always
"""


def read(path):
    """Return a file's text, or an empty text if there is no such file."""
    if not os.path.exists(path):
        return ""
    with open(path) as stream:
        return stream.read().strip()


def fingerprint(public_key):
    """Return the fingerprint of a public key in OpenSSH's format."""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def main():
    """Run as Ansible's module."""
    module = AnsibleModule(
        argument_spec={
            "machine_id_path": {"type": "path", "default": "/etc/machine-id"},
            "ssh_directory": {"type": "path", "default": "/etc/ssh"},
        },
        supports_check_mode=True,
    )
    keys = sorted(glob.glob(os.path.join(module.params["ssh_directory"], "ssh_host_*_key.pub")))
    module.exit_json(
        changed=False,
        machine_id=read(module.params["machine_id_path"]),
        ssh_host_keys=[fingerprint(read(key)) for key in keys],
    )


if __name__ == "__main__":
    main()
