#!/usr/bin/python
"""Read a BigBlueButton node's URL and secret from bbb-web's files (runs on Python 3.8)."""

import os
import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: bbb_node_facts
short_description: Read a BigBlueButton node's URL, secret and release
description:
  - Reads Java property files in bbb-web's order of precedence, and the release file.
  - The result contains the node's secret, so a task that calls this needs C(no_log).
options:
  paths:
    description: Property files in order of precedence, highest first. Missing files are ignored.
    type: list
    elements: path
    default:
      - /etc/bigbluebutton/bbb-web.properties
      - /usr/share/bbb-web/WEB-INF/classes/bigbluebutton.properties
  release_path:
    description: File with the line C(BIGBLUEBUTTON_RELEASE=…).
    type: path
    default: /etc/bigbluebutton/bigbluebutton-release
author: ["The bbb-fleet authors"]
"""

EXAMPLES = r"""
- name: Read the node's URL and secret
  bbb_node_facts:
  no_log: true
  register: __bbb_node_identity
"""

RETURN = r"""
files:
  description: The property files that exist.
  returned: always
  type: list
  elements: str
server_url:
  description: The node's origin as bbb-web uses it; empty if none is set.
  returned: always
  type: str
api_url:
  description: Base URL of the node's API; empty if no origin is set.
  returned: always
  type: str
secret:
  description: The node's shared secret; empty if none is set.
  returned: always
  type: str
release:
  description: BigBlueButton's version; empty if unknown.
  returned: always
  type: str
"""

SERVER_URL = "bigbluebutton.web.serverURL"
SALT = "securitySalt"
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def unescape(text):
    """Decode the escapes of a Java property file."""

    def one(match):
        code = match.group(1)
        if code.startswith("u"):
            return chr(int(code[1:], 16))
        return ESCAPES.get(code, code)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", one, text)


def parse_properties(text):
    """Names and values of a Java property file. If a name occurs twice, the last value applies, as in Java."""
    # A line that ends in an odd number of backslashes continues on the next line.
    joined = re.sub(r"(?<!\\)((?:\\\\)*)\\\r?\n[ \t\f]*", r"\1", text)
    values = {}
    for line in joined.splitlines():
        line = line.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        match = re.match(r"((?:\\.|[^\\=:\s])+)[ \t\f]*[=:]?[ \t\f]*(.*)$", line)
        if match:
            values[unescape(match.group(1))] = unescape(match.group(2)).rstrip()
    return values


def read_text(path):
    """A file's text, or None if there is no such file."""
    if not os.path.isfile(path):
        return None
    # Java property files are ISO 8859-1 by definition.
    with open(path, encoding="iso-8859-1") as stream:
        return stream.read()


def first_value(name, tables):
    """The first value in these tables that is not empty, or an empty text."""
    return next((table[name] for table in tables if table.get(name)), "")


def read_identity(paths, release_path):
    """The module's result."""
    texts = [(path, read_text(path)) for path in paths]
    tables = [parse_properties(text) for _path, text in texts if text is not None]
    server_url = first_value(SERVER_URL, tables).rstrip("/")
    release = re.search(r"^BIGBLUEBUTTON_RELEASE=(\S+)", read_text(release_path) or "", re.MULTILINE)
    return {
        "files": [path for path, text in texts if text is not None],
        "server_url": server_url,
        "api_url": server_url + "/bigbluebutton/api" if server_url else "",
        "secret": first_value(SALT, tables),
        "release": release.group(1) if release else "",
    }


def main():
    """Run as Ansible's module."""
    properties = [
        "/etc/bigbluebutton/bbb-web.properties",
        "/usr/share/bbb-web/WEB-INF/classes/bigbluebutton.properties",
    ]
    arguments = {
        "paths": {"type": "list", "elements": "path", "default": properties},
        "release_path": {"type": "path", "default": "/etc/bigbluebutton/bigbluebutton-release"},
    }
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    try:
        identity = read_identity(module.params["paths"], module.params["release_path"])
    except OSError as error:
        module.fail_json(msg=f"the node's settings cannot be read: {error}")
    module.exit_json(changed=False, **identity)


if __name__ == "__main__":
    main()
