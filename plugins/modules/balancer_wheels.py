#!/usr/bin/python
"""Build the wheels on the controller that a balancer host needs to install the package without internet access."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: balancer_wheels
short_description: Build the balancer's wheels for one target Python
description:
  - Builds the balancer's own wheel and downloads the pinned wheels of its requirements, checked against their hashes.
  - The result is one tar archive, with a requirements file that contains the hash of every wheel.
  - Archives are cached under a name derived from their content, so an unchanged source tree builds nothing.
options:
  source:
    description: Directory of the repository, with C(pyproject.toml).
    type: path
    required: true
  cache:
    description: Directory on the controller for wheels and archives.
    type: path
    required: true
  python:
    description: Full version of the target's Python, such as C(3.11.2).
    type: str
    required: true
  architecture:
    description: The target's architecture, such as C(x86_64).
    type: str
    required: true
author: ["The bbb-fleet authors"]
"""

EXAMPLES = r"""
- name: Build the wheels on the controller
  balancer_wheels:
    source: "{{ playbook_dir }}/.."
    cache: ~/.cache/bbb-fleet/wheels
    python: "{{ ansible_facts.python_version }}"
    architecture: "{{ ansible_facts.architecture }}"
  delegate_to: localhost
"""

RETURN = r"""
release:
  description: Version and content hash, which name the directory below releases/.
  returned: always
  type: str
archive:
  description: Path of the tar archive on the controller.
  returned: always
  type: str
"""

REQUIREMENTS = "requirements/balancer.txt"
#: The wheel's sources besides the package; other files may change without a new release.
PACKAGE_FILES = ("pyproject.toml", "README.md", "LICENSE")
PACKAGE = "balancer"
#: Tags up to the glibc of the oldest supported target (Debian 12 has 2.36); pip does not derive the older ones itself.
MANYLINUX = ("2_34", "2_31", "2_28", "2_27", "2_26", "2_24", "2_17", "2014")


def package_files(source: Path) -> list[Path]:
    """The files of the release, sorted, without Python's caches."""
    inside = [path for path in (source / PACKAGE).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return sorted([source / name for name in (*PACKAGE_FILES, REQUIREMENTS)] + inside)


def content_hash(source: Path) -> str:
    """SHA-256 over names and contents of the release's files."""
    digest = hashlib.sha256()
    for path in package_files(source):
        digest.update(f"{path.relative_to(source)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def logical_lines(text: str) -> Iterator[str]:
    """The entries of a requirements file, with continued lines joined and comments removed."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE))
    return (line.strip() for line in joined.splitlines() if line.strip())


def marker_environment(python: str, architecture: str) -> dict[str, str]:
    """The target's values of markers (PEP 508), because the controller's own Python may differ."""
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "posix",
        "platform_machine": architecture,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
    }


def pins_for(text: str, python: str, architecture: str) -> list[str]:
    """The pins that apply to the target, each with its hashes and without its marker."""
    # The controller has packaging, because ansible-core depends on it.
    from packaging.requirements import Requirement

    environment = marker_environment(python, architecture)
    kept = []
    for line in logical_lines(text):
        head, *hashes = re.split(r"\s+--hash=", line)
        requirement = Requirement(head)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            requirement.marker = None
            kept.append(" ".join([str(requirement), *(f"--hash={value.strip()}" for value in hashes)]))
    return kept


def download_command(requirements: Path, destination: Path, python: str, architecture: str) -> list[str]:
    """pip's command line that downloads wheels for the target, and never a source archive."""
    minor = ".".join(python.split(".")[:2])
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", f"--requirement={requirements}", f"--dest={destination}"]
    command += [f"--python-version={minor}", "--implementation=cp", f"--abi=cp{minor.replace('.', '')}", "--abi=abi3"]
    return command + [f"--platform=manylinux{_glibc_tag(tag)}_{architecture}" for tag in MANYLINUX]


def _glibc_tag(tag: str) -> str:
    return tag if tag == "2014" else f"_{tag}"


class Builder:
    """Builds an archive in the cache. Every step ends in a rename, so that a failed run leaves nothing incomplete."""

    def __init__(self, source: Path, cache: Path, python: str, architecture: str) -> None:
        self.source, self.cache, self.python, self.architecture = source, cache, python, architecture
        with (source / "pyproject.toml").open("rb") as stream:
            self.version = tomllib.load(stream)["project"]["version"]
        self.pins = pins_for((source / REQUIREMENTS).read_text(encoding="utf-8"), python, architecture)
        self.release = f"{self.version}-{content_hash(source)[:12]}"
        tag = "".join(python.split(".")[:2])
        pins_hash = hashlib.sha256("\n".join(self.pins).encode()).hexdigest()[:12]
        self.wheel_directory = cache / f"wheels-cp{tag}-{architecture}-{pins_hash}"
        self.archive = cache / f"bbb-fleet-{self.release}-cp{tag}-{architecture}-{pins_hash}.tar"

    def build(self) -> None:
        """Build the archive. Raises subprocess.CalledProcessError with pip's message, OSError."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with self._locked(), tempfile.TemporaryDirectory(dir=self.cache) as directory:
            if self.archive.exists():
                return
            work = Path(directory)
            self._download(work)
            wheel = self._own_wheel(work)
            self._pack(work, wheel)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Tasks for several hosts run in parallel and share the cache.
        with (self.cache / ".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _download(self, work: Path) -> None:
        if self.wheel_directory.exists():
            return
        requirements, destination = work / "pins.txt", work / "download"
        requirements.write_text("\n".join(self.pins) + "\n", encoding="utf-8")
        _run(download_command(requirements, destination, self.python, self.architecture))
        destination.rename(self.wheel_directory)

    def _own_wheel(self, work: Path) -> Path:
        # Built from a copy, because a build leaves build/ and egg-info/ in the source directory.
        staged, destination = work / "source", work / "own"
        for path in package_files(self.source):
            target = staged / path.relative_to(self.source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        _run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={destination}", str(staged)])
        (wheel,) = destination.glob("*.whl")
        return wheel

    def _pack(self, work: Path, wheel: Path) -> None:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        pins = [*self.pins, f"bbb-fleet=={self.version} --hash=sha256:{digest}"]
        (work / "requirements.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
        unfinished = work / "archive.tar"
        with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as archive:
            archive.add(work / "requirements.txt", "requirements.txt", filter=_root_owned)
            for path in sorted([*self.wheel_directory.iterdir(), wheel]):
                archive.add(path, f"wheels/{path.name}", filter=_root_owned)
        os.replace(unfinished, self.archive)


def _root_owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    return member


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def main() -> None:
    """Run as Ansible's module."""
    arguments = {
        "source": {"type": "path", "required": True},
        "cache": {"type": "path", "required": True},
        "python": {"type": "str", "required": True},
        "architecture": {"type": "str", "required": True},
    }
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    parameters = module.params
    try:
        builder = Builder(
            Path(parameters["source"]).resolve(),
            Path(parameters["cache"]),
            parameters["python"],
            parameters["architecture"],
        )
        missing = not builder.archive.exists()
        if missing and not module.check_mode:
            builder.build()
    except subprocess.CalledProcessError as error:
        module.fail_json(msg=f"pip could not build the wheels: {error.stderr.strip()}")
    except OSError as error:
        module.fail_json(msg=f"the wheels could not be built on the controller: {error}")
    # Not a change, because the cache is on the controller and no host is changed.
    module.exit_json(changed=False, built=missing, release=builder.release, archive=str(builder.archive))


if __name__ == "__main__":
    main()
