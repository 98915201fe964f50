#!/usr/bin/python
"""Create an empty mount point that not even root can write into."""

from __future__ import annotations

import array
import errno
import fcntl
import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: share_mount_point
short_description: Create an empty mount point that not even root can write into
description:
  - Creates the directory, owned by root with mode 0000 and immutable, so that not even root can write into it while
    nothing is mounted there.
  - Changes nothing while something is mounted there.
  - Refuses a directory that contains files, because a mount would hide them.
options:
  path:
    description: The mount point.
    type: path
    required: true
attributes:
  check_mode:
    support: full
author: [bbb-fleet]
"""

EXAMPLES = r"""
- name: Lock the empty mount point
  share_mount_point:
    path: /var/bigbluebutton
"""

RETURN = r"""
mounted:
  description: Whether something is mounted there.
  type: bool
  returned: always
immutable:
  description: Whether the file system supports immutable directories; none if it is not known.
  type: bool
  returned: always
"""


# linux/fs.h, the same on x86-64 and arm64.
FS_IOC_GETFLAGS = 0x80086601
FS_IOC_SETFLAGS = 0x40086602
FS_IMMUTABLE_FL = 0x10


def is_mounted(path):
    """Whether the path is a mount point, from the kernel's table, without accessing a file that could hang."""
    with open("/proc/self/mountinfo") as table:
        points = [line.split()[4] for line in table]
    return path in [point.encode().decode("unicode_escape") for point in points]


def flags(descriptor):
    """Return the inode's flags, or None if the file system has no flags."""
    value = array.array("L", [0])
    try:
        fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, value)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL):
            return None
        raise
    return value[0]


def lock(path, check):
    """Set owner, mode and flag; return whether that was a change, and whether the directory is immutable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        present = flags(descriptor)
        status = os.fstat(descriptor)
        wrong_mode = (status.st_uid, status.st_gid, status.st_mode & 0o7777) != (0, 0, 0)
        wrong_flags = present is not None and not present & FS_IMMUTABLE_FL
        if not check:
            if wrong_mode:
                os.fchown(descriptor, 0, 0)
                os.fchmod(descriptor, 0)
            if wrong_flags:
                fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, array.array("L", [present | FS_IMMUTABLE_FL]))
    finally:
        os.close(descriptor)
    return wrong_mode or wrong_flags, present is not None


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    path = os.path.normpath(module.params["path"])
    if is_mounted(path):
        module.exit_json(changed=False, mounted=True, immutable=None)
    created = not os.path.isdir(path)
    if created and module.check_mode:
        module.exit_json(changed=True, mounted=False, immutable=None)
    if created:
        os.makedirs(path, mode=0o755)
    files = sorted(os.listdir(path))
    if files:
        module.fail_json(
            msg="{} contains files ({}) although nothing is mounted there, and the share would hide them. "
            "Move them away, then run again.".format(path, ", ".join(files[:5]))
        )
    changed, immutable = lock(path, module.check_mode)
    if not immutable:
        module.warn(f"The file system of {path} does not support immutable directories: only mode 0000 protects it.")
    module.exit_json(changed=created or changed, mounted=False, immutable=immutable)


if __name__ == "__main__":
    main()
