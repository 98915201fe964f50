"""File systems for hosts: layers built once from topology.yml and cached by a hash of their recipe."""

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from lab import processes, state
from lab.command import run, wait_until
from lab.errors import LabError
from lab.topology import Image, Topology

CACHE = Path("/var/cache/bbb-fleet-lab")
# Increased whenever this module builds the same description differently.
BUILDER = 2
OPERATOR = "ops"
# They would hold apt's lock while a role needs it, or maintain disks that exist for an hour.
UNWANTED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
)
BUILD_TIMEOUT = 1800.0
UNMOUNT_DEADLINE = 10.0


def key(image: Image, topology: Topology) -> str:
    """A hash of a layer's recipe and of its parents' recipes."""
    parent = key(topology.images[image.parent], topology) if image.parent else ""
    recipe = json.dumps([BUILDER, asdict(image), parent], sort_keys=True)
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def layers(name: str, topology: Topology) -> list[Path]:
    """The directories of an image's layers, the top one first; builds those that are not in the cache."""
    image = topology.images[name]
    below = layers(image.parent, topology) if image.parent else []
    target = CACHE / f"{name}-{key(image, topology)}"
    with state.locked(f"image-{name}"):
        if not target.is_dir():
            _build(image, below, target)
    return [target, *below]


def _build(image: Image, below: list[Path], target: Path) -> None:
    """Build beside the target and rename, so that an interrupted build is never taken for an image."""
    CACHE.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.draft")
    discard_draft(draft)
    if image.parent is None:
        _bootstrap(image, draft)
    else:
        draft.mkdir()
        with stacked(draft, below) as root:
            _add_packages(image, root)
    _forget_identity(draft)
    draft.rename(target)


def discard_draft(draft: Path) -> None:
    """Remove what a killed build left behind, and end processes that may still be running in it."""
    root = _root_of(draft)
    processes.signal_all([*processes.rooted(draft), *processes.rooted(root), *processes.inits(draft)], signal.SIGKILL)
    unmount(root)
    for path in (draft, root, _work_of(draft)):
        if path.exists():
            shutil.rmtree(path)


def _bootstrap(image: Image, draft: Path) -> None:
    sources = [f"deb {image.mirror} {image.suite} main", f"deb {image.mirror} {image.suite}-updates main"]
    if image.security_mirror:
        sources.append(f"deb {image.security_mirror} {image.suite}-security main")
    hooks = [
        f'chroot "$1" useradd --create-home --shell /bin/bash {OPERATOR}',
        f'echo "{OPERATOR} ALL=(ALL) NOPASSWD: ALL" > "$1/etc/sudoers.d/{OPERATOR}"',
        'chroot "$1" systemctl enable systemd-networkd.service',
        f'chroot "$1" systemctl mask {" ".join(UNWANTED_UNITS)}',
        # The mirror's index stays in the image, so that a role finds the downloaded packages without an update.
        'echo \'APT::Periodic::Enable "0";\' > "$1/etc/apt/apt.conf.d/10periodic"',
        'echo \'Acquire::Check-Valid-Until "false";\' > "$1/etc/apt/apt.conf.d/10valid-until"',
        'echo force-unsafe-io > "$1/etc/dpkg/dpkg.cfg.d/unsafe-io"',
    ]
    run(
        [
            "mmdebstrap",
            "--variant=minbase",
            "--skip=cleanup/apt/lists",
            f"--include={','.join(image.install)}",
            # Manuals take a third of the installation's time and are not needed here.
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            *(f"--customize-hook={hook}" for hook in hooks),
            image.suite or "",
            draft,
            *sources,
        ],
        timeout=BUILD_TIMEOUT,
    )


def _add_packages(image: Image, root: Path) -> None:
    apt = ["apt-get", "--yes", "--no-install-recommends"]
    if image.install:
        _inside(root, [*apt, "install", *image.install])
    if image.download:
        _inside(root, [*apt, "--download-only", "install", *image.download])


def _inside(root: Path, command: list[str]) -> None:
    """Run one command in a file system that is not booted, on the machine's own network."""
    run(
        [
            "systemd-nspawn",
            "--quiet",
            "--pipe",
            "--register=no",
            "--keep-unit",
            "--resolv-conf=replace-host",
            "--setenv=DEBIAN_FRONTEND=noninteractive",
            f"--directory={root}",
            *command,
        ],
        timeout=BUILD_TIMEOUT,
    )


def _forget_identity(layer: Path) -> None:
    """Remove the identity that the installation generated, because no two hosts may share one."""
    for path in [*(layer / "etc/ssh").glob("ssh_host_*"), layer / "etc/machine-id", layer / "var/lib/dbus/machine-id"]:
        if path.is_file() or path.is_symlink():
            path.unlink()
    if (layer / "etc").is_dir():
        # Empty instead of missing: systemd treats a boot without this file as a first boot.
        (layer / "etc/machine-id").touch()


@contextmanager
def stacked(upper: Path, below: list[Path]) -> Iterator[Path]:
    """Mount a layer being built over those below it."""
    root, work = _root_of(upper), _work_of(upper)
    root.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    mount(root, upper, work, below)
    try:
        yield root
    finally:
        unmount(root)
        root.rmdir()
        shutil.rmtree(work)


def _root_of(layer: Path) -> Path:
    return layer.with_name(f"{layer.name}.root")


def _work_of(layer: Path) -> Path:
    return layer.with_name(f"{layer.name}.work")


def mount(root: Path, upper: Path, work: Path, below: list[Path]) -> None:
    """Mount the overlay of `below` (top one first) and a writable `upper` at `root`."""
    options = f"lowerdir={':'.join(map(str, below))},upperdir={upper},workdir={work}"
    run(["mount", "-t", "overlay", "bbb-fleet-lab", "-o", options, root])


def unmount(root: Path) -> None:
    """Undo `mount` as soon as no process uses it; raises LabError after UNMOUNT_DEADLINE seconds."""
    while os.path.ismount(root):
        wait_until(lambda: _unmounted(root), what=f"{root} is unmounted", within=UNMOUNT_DEADLINE)


def _unmounted(root: Path) -> bool:
    try:
        run(["umount", root])
    except LabError:
        return False
    return True
