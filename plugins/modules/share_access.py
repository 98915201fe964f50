#!/usr/bin/python
"""Check that a share is mounted and that its writers can write."""

from __future__ import annotations

import grp
import json
import os
import pwd
import select
import signal
import stat

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: share_access
short_description: Check that a share is mounted and that its writers can write
description:
  - Fails unless something is mounted at the path and contains the marker file.
  - As each writer, creates, writes, renames, reads and deletes a file in each of its directories. A failure is
    reported with the owner, group or mode that is wrong.
  - A share that hangs is reported after I(timeout).
  - In check mode nothing is written.
options:
  path:
    description: Where the share is mounted.
    type: path
    required: true
  marker:
    description: File that exists only on the share.
    type: str
    default: .bbb-fleet-share
  writers:
    description: Accounts and the directories that each must be able to change.
    type: list
    elements: dict
    default: []
    suboptions:
      user:
        description: Name of the account.
        type: str
        required: true
      directories:
        description: Directories below I(path).
        type: list
        elements: str
        required: true
  group:
    description: Group that new files must belong to.
    type: str
    required: true
  timeout:
    description: Timeout in seconds of each account's check.
    type: float
    default: 20.0
attributes:
  check_mode:
    support: full
author: [bbb-fleet]
"""

EXAMPLES = r"""
- name: Check that the share is mounted
  share_access:
    path: /var/bigbluebutton
    group: bbb-fleet-spool
    writers:
      - user: bbb-fleet
        directories: [spool]
"""

RETURN = r"""
share:
  description: Contents of the marker file.
  type: str
  returned: success
"""


def is_mounted(path):
    """Whether the path is a mount point, from the kernel's table, without accessing a file that could hang."""
    with open("/proc/self/mountinfo") as table:
        points = [line.split()[4] for line in table]
    return path in [point.encode().decode("unicode_escape") for point in points]


def read_marker(path, marker):
    """Return the marker's contents as ``share``, or a ``problem``."""
    try:
        with open(os.path.join(path, marker)) as stream:
            return {"share": stream.read().strip()}
    except FileNotFoundError:
        return {"problem": f"there is no {marker} in what is mounted at {path}: is it the right export?"}
    except OSError as error:
        return {"problem": f"{path}/{marker} cannot be read: {error.strerror}"}


def wrong_attribute(directory, account, group):
    """Return why the account cannot write into the directory, as text."""
    status = os.stat(directory)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_gid != group.gr_gid:
        return f"its group is {status.st_gid}, it must be {group.gr_gid} ({group.gr_name})"
    if status.st_uid != account.pw_uid and group.gr_gid not in os.getgroups():
        return f"its owner is {status.st_uid}, {account.pw_name} is {account.pw_uid} here"
    if mode & 0o2770 != 0o2770:
        return f"its mode is {mode:04o}, it must be 2775"
    return "owner, group and mode are correct, so the export or the mount is read-only or maps accounts"


def try_directory(directory, account, group):
    """Create, write, rename, read and delete a file as the current account; return the problem or None."""
    first = os.path.join(directory, f".bbb-fleet-access-{os.uname().nodename}-{os.getpid()}")
    second = first + "-renamed"
    step = "create"
    try:
        descriptor = os.open(first, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o664)
        try:
            step = "write"
            os.write(descriptor, b"access")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        step = "rename"
        os.rename(first, second)
        step = "read"
        with open(second, "rb") as stream:
            content = stream.read()
        status = os.stat(second)
        step = "delete"
        os.unlink(second)
    except OSError as error:
        reason = wrong_attribute(directory, account, group) if step == "create" else "see the server's log"
        return f"{account.pw_name} cannot {step} in {directory} ({error.strerror}): {reason}"
    if content != b"access":
        return f"{account.pw_name} read different data from what it wrote in {directory}"
    for name, number, expected in (("owner", status.st_uid, account.pw_uid), ("group", status.st_gid, group.gr_gid)):
        if number != expected:
            return f"files of {account.pw_name} in {directory} get {name} {number}, it must be {expected}"
    return None


def try_writer(path, writer, group):
    """Switch to the writer's account and try its directories; return the ``problem``, if any."""
    account = pwd.getpwnam(writer["user"])
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    for directory in writer["directories"]:
        problem = try_directory(os.path.join(path, directory), account, group)
        if problem:
            return {"problem": problem}
    return {}


def in_child_process(timeout, action, *arguments):
    """Run the action in a child process, which may hang or drop its privileges; return its result."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            answer = action(*arguments)
        except Exception as error:
            answer = {"problem": f"{type(error).__name__}: {error}"}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    try:
        if not select.select([reader], [], [], timeout)[0]:
            # Not waited for, because a process that hangs on a share ends only when the share answers.
            os.kill(child, signal.SIGKILL)
            return {"problem": f"the share hangs: no answer within {timeout:g} seconds; is the storage host up?"}
        answer = json.loads(os.read(reader, 65536).decode())
        os.waitpid(child, 0)
        return answer
    finally:
        os.close(reader)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "marker": {"type": "str", "default": ".bbb-fleet-share"},
            "writers": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "user": {"type": "str", "required": True},
                    "directories": {"type": "list", "elements": "str", "required": True},
                },
            },
            "group": {"type": "str", "required": True},
            "timeout": {"type": "float", "default": 20.0},
        },
        supports_check_mode=True,
    )
    path, timeout = os.path.normpath(module.params["path"]), module.params["timeout"]
    if not is_mounted(path):
        module.fail_json(msg=f"Nothing is mounted at {path}: see systemctl status for its mount unit.")
    marker = in_child_process(timeout, read_marker, path, module.params["marker"])
    if "problem" in marker:
        module.fail_json(msg=marker["problem"])
    try:
        group = grp.getgrnam(module.params["group"])
    except KeyError:
        module.fail_json(msg=f"This host has no group {module.params['group']}.")
    for writer in [] if module.check_mode else module.params["writers"]:
        result = in_child_process(timeout, try_writer, path, writer, group)
        if "problem" in result:
            module.fail_json(msg=result["problem"])
    module.exit_json(changed=False, share=marker["share"])


if __name__ == "__main__":
    main()
