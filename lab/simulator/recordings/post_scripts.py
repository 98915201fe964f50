"""Runs post scripts as BBB's worker does (reference 5.5)."""

import asyncio
import grp
import logging
import os
import pwd
from typing import Any

from lab.simulator.recordings.tree import Tree

_USER = "bigbluebutton"
log = logging.getLogger(__name__)


async def run_post_publish(tree: Tree, record_id: str, playback: str) -> None:
    """Run every post_publish/*.rb in the order of names; a failure is logged and the next one runs."""
    for script in sorted((tree.scripts / "post_publish").glob("*.rb")):
        process = await asyncio.create_subprocess_exec(
            "ruby",
            os.fspath(script),
            "-m",
            record_id,
            "-f",
            playback,
            cwd=tree.scripts,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            **_as_user(),
        )
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        log.log(
            logging.INFO if process.returncode == 0 else logging.WARNING,
            "%s -m %s -f %s: exit %s %s",
            script.name,
            record_id,
            playback,
            process.returncode,
            output.decode("utf-8", "replace").strip(),
        )


def _as_user() -> dict[str, Any]:
    """Return the arguments that change from root to BBB's user, if there is one."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam(_USER)
    except KeyError:
        return {}
    groups = [group.gr_gid for group in grp.getgrall() if _USER in group.gr_mem]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups}
