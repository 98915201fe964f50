#!/usr/bin/python
"""Create several directories with their owners and modes in one call (runs on Python 3.8)."""

import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: directories
short_description: Create several directories with their owners and modes
description:
  - Does for a list what M(ansible.builtin.file) does for one directory. A loop would start Python on the host for each
    item, which takes far longer than checking the directory.
  - Creates missing directories and their parents, and does not change their contents.
options:
  directories:
    description: The directories, parents before their children.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path of the directory; a link to a directory is followed.
        type: path
        required: true
      owner:
        description: Owner of this directory, if it is not O(owner).
        type: str
      group:
        description: Group of this directory, if it is not O(group).
        type: str
      mode:
        description: Mode of this directory, if it is not O(mode).
        type: str
  owner:
    description: Owner of the directories.
    type: str
    default: root
  group:
    description: Group of the directories.
    type: str
    default: root
  mode:
    description: Mode of the directories in octal digits.
    type: str
    default: "0755"
author: ["The bbb-fleet authors"]
"""

EXAMPLES = r"""
- name: Create the directories of configuration and state
  directories:
    directories:
      - path: /etc/bbb-fleet
      - {path: /var/lib/bbb-fleet, owner: bbb-fleet, group: bbb-fleet, mode: "0750"}
"""

RETURN = r"""
changed_paths:
  description: The directories that were (in check mode, would be) created or changed.
  returned: always
  type: list
  elements: str
"""

ATTRIBUTES = ("owner", "group", "mode")


def ensure_directory(module, wanted):
    """Create or change one directory; return its diff, or None if nothing changed. Raises OSError."""
    path = wanted["path"]
    diff = {"before": {"path": path}, "after": {"path": path}}
    missing = not os.path.isdir(path)
    if missing:
        diff["before"]["state"], diff["after"]["state"] = "absent", "directory"
        # In check mode its owner may not exist either.
        if module.check_mode:
            return diff
        os.makedirs(path)
    wanted_attributes = {name: wanted[name] or module.params[name] for name in ATTRIBUTES}
    attributes = module.load_file_common_arguments(dict(wanted_attributes, follow=True), path)
    return diff if module.set_fs_attributes_if_different(attributes, missing, diff) else None


def main():
    """Run as Ansible's module."""
    module = AnsibleModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    **{name: {"type": "str"} for name in ATTRIBUTES},
                },
            },
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str", "default": "0755"},
        },
        supports_check_mode=True,
    )
    diffs = []
    for wanted in module.params["directories"]:
        try:
            diffs.append(ensure_directory(module, wanted))
        except OSError as error:
            module.fail_json(msg="the directory {} cannot be created: {}".format(wanted["path"], error.strerror))
    changed = [diff for diff in diffs if diff]
    module.exit_json(changed=bool(changed), changed_paths=[diff["after"]["path"] for diff in changed], diff=changed)


if __name__ == "__main__":
    main()
