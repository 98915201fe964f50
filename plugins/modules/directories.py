#!/usr/bin/python
"""Keep several directories with their owners and modes in one call (runs on Python 3.8)."""

import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: directories
short_description: Keep several directories with their owners and modes
description:
  - Does for a list what M(ansible.builtin.file) does for one directory. A loop over that one starts Python on the host
    for each item, which takes far longer than looking at the directory.
  - Creates what is missing, its parents too, and leaves what is in a directory alone.
options:
  directories:
    description: The directories, parents before what is in them.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it is; a link to a directory is followed.
        type: path
        required: true
      owner:
        description: Account that owns this one, where it is not O(owner).
        type: str
      group:
        description: Group that owns this one, where it is not O(group).
        type: str
      mode:
        description: Mode of this one, where it is not O(mode).
        type: str
  owner:
    description: Account that owns the directories.
    type: str
    default: root
  group:
    description: Group that owns the directories.
    type: str
    default: root
  mode:
    description: Their mode in octal digits.
    type: str
    default: "0755"
author: ["The bbb-fleet authors"]
"""

EXAMPLES = r"""
- name: Create the directories of settings and state
  directories:
    directories:
      - path: /etc/bbb-fleet
      - {path: /var/lib/bbb-fleet, owner: bbb-fleet, group: bbb-fleet, mode: "0750"}
"""

RETURN = r"""
changed_paths:
  description: The directories that were, or in check mode would be, created or given another owner or mode.
  returned: always
  type: list
  elements: str
"""

KINDS = ("owner", "group", "mode")


def keep(module, wanted):
    """Bring one directory about; return its diff, None where nothing was to be done. Raises OSError."""
    path = wanted["path"]
    diff = {"before": {"path": path}, "after": {"path": path}}
    missing = not os.path.isdir(path)
    if missing:
        diff["before"]["state"], diff["after"]["state"] = "absent", "directory"
        # Its owner may be an account that a check has not made either.
        if module.check_mode:
            return diff
        os.makedirs(path)
    owned = {kind: wanted[kind] or module.params[kind] for kind in KINDS}
    attributes = module.load_file_common_arguments(dict(owned, follow=True), path)
    return diff if module.set_fs_attributes_if_different(attributes, missing, diff) else None


def main():
    """Run as Ansible's module."""
    module = AnsibleModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"path": {"type": "path", "required": True}, **{kind: {"type": "str"} for kind in KINDS}},
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
            diffs.append(keep(module, wanted))
        except OSError as error:
            module.fail_json(msg="{} cannot be made a directory: {}".format(wanted["path"], error.strerror))
    changed = [diff for diff in diffs if diff]
    module.exit_json(changed=bool(changed), changed_paths=[diff["after"]["path"] for diff in changed], diff=changed)


if __name__ == "__main__":
    main()
