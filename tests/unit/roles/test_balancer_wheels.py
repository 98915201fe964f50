"""A target gets wheels for its own Python version, pinned with hashes, whatever version the controller runs."""

import re
from pathlib import Path

import pytest

from tests.unit.roles.scripts import PROJECT, load

wheels = load(PROJECT / "plugins/modules/balancer_wheels.py")
PINS = (PROJECT / "requirements/balancer.txt").read_text()
TARGETS = ["3.11.2", "3.12.3", "3.13.5"]


@pytest.mark.parametrize("python", TARGETS)
def test_every_pin_has_a_version_and_hashes_and_no_marker(python: str) -> None:
    pins = wheels.pins_for(PINS, python, "x86_64")
    assert {"flask", "gunicorn", "psycopg", "redis"} <= {re.split("[=[]", pin)[0] for pin in pins}
    assert not [pin for pin in pins if not re.fullmatch(r"\S+==\S+( --hash=sha256:[0-9a-f]{64})+", pin)]


def test_a_pin_for_another_python_or_system_is_left_out() -> None:
    text = "\n".join(
        f"{name}==1 ; {marker} \\\n    --hash=sha256:{'0' * 64}"
        for name, marker in (
            ("old", "python_full_version < '3.12'"),
            ("new", "python_full_version >= '3.12'"),
            ("foreign", "sys_platform == 'win32'"),
        )
    )
    names = {python: [pin[:3] for pin in wheels.pins_for(text, python, "x86_64")] for python in TARGETS}
    assert names == {"3.11.2": ["old"], "3.12.3": ["new"], "3.13.5": ["new"]}


@pytest.mark.parametrize(("python", "tag"), [("3.11.2", "cp311"), ("3.12.3", "cp312"), ("3.13.5", "cp313")])
def test_pip_downloads_wheels_for_the_target_only(tmp_path: Path, python: str, tag: str) -> None:
    command = wheels.download_command(tmp_path / "pins", tmp_path / "wheels", python, "aarch64")
    assert {f"--python-version={python[:4]}", f"--abi={tag}", "--only-binary=:all:", "--require-hashes"} <= set(command)
    assert "--platform=manylinux_2_28_aarch64" in command


def test_a_release_is_named_by_its_content_only(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements/balancer.txt", "balancer/a.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    before = wheels.content_hash(tmp_path)
    (tmp_path / "balancer/__pycache__").mkdir()
    (tmp_path / "balancer/__pycache__/a.pyc").write_text("cached")
    (tmp_path / "tests").mkdir()
    assert wheels.content_hash(tmp_path) == before
    (tmp_path / "balancer/a.py").write_text("changed")
    assert wheels.content_hash(tmp_path) != before
