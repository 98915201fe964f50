"""The Ansible module directories, run by Ansible on real directories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
OWN = {"owner": str(os.getuid()), "group": str(os.getgid())}


def run_module(directories: list[dict[str, str]], *options: str) -> dict[str, Any]:
    """The module's result for these directories, which belong to the user of the test."""
    command = [str(Path(sys.executable).with_name("ansible")), "localhost", "-i", "localhost,", "-c", "local"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", "-m", "directories", *options]
    command += ["-a", json.dumps({"directories": directories, "mode": "0750", **OWN})]
    environment = os.environ | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    done = subprocess.run(command, env=environment, cwd=PROJECT, check=False, capture_output=True, text=True)
    result: dict[str, Any] = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("=> {") + 3 :])[0]
    return result | {"failed": done.returncode != 0}


def modes(*paths: Path) -> list[str]:
    return [f"{path.stat().st_mode & 0o7777:o}" for path in paths]


@pytest.fixture
def wanted(tmp_path: Path) -> list[dict[str, str]]:
    """One directory within another, and a third below a parent that is not listed."""
    return [
        {"path": str(tmp_path / "outer")},
        {"path": str(tmp_path / "outer/inner"), "mode": "2775"},
        {"path": str(tmp_path / "unnamed/deep")},
    ]


def test_missing_directories_are_created_once(tmp_path: Path, wanted: list[dict[str, str]]) -> None:
    first = run_module(wanted)
    assert first["changed_paths"] == [directory["path"] for directory in wanted]
    assert modes(tmp_path / "outer", tmp_path / "outer/inner", tmp_path / "unnamed/deep") == ["750", "2775", "750"]
    (tmp_path / "outer/file").write_text("kept")
    second = run_module(wanted)
    assert (second["changed"], second["changed_paths"]) == (False, [])
    assert (tmp_path / "outer/file").read_text() == "kept"


def test_a_wrong_mode_is_corrected_and_only_that_directory_reported(
    tmp_path: Path, wanted: list[dict[str, str]]
) -> None:
    run_module(wanted)
    (tmp_path / "outer/inner").chmod(0o700)
    repaired = run_module(wanted)
    assert (repaired["changed"], repaired["changed_paths"]) == (True, [str(tmp_path / "outer/inner")])
    assert modes(tmp_path / "outer", tmp_path / "outer/inner") == ["750", "2775"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change owners")
def test_a_wrong_owner_is_corrected(tmp_path: Path, wanted: list[dict[str, str]]) -> None:
    run_module(wanted)
    os.chown(tmp_path / "outer", 12345, 54321)
    assert run_module(wanted)["changed_paths"] == [str(tmp_path / "outer")]
    status = (tmp_path / "outer").stat()
    assert (status.st_uid, status.st_gid) == (0, os.getgid())


def test_a_check_reports_changes_and_makes_none(tmp_path: Path, wanted: list[dict[str, str]]) -> None:
    (tmp_path / "outer").mkdir(mode=0o700)
    checked = run_module(wanted, "--check")
    assert checked["changed_paths"] == [directory["path"] for directory in wanted]
    assert modes(tmp_path / "outer") == ["700"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["outer"]


def test_a_file_of_that_name_is_reported(tmp_path: Path, wanted: list[dict[str, str]]) -> None:
    (tmp_path / "outer").write_text("in the way")
    refused = run_module(wanted)
    assert refused["failed"]
    assert refused["msg"] == f"the directory {tmp_path}/outer cannot be created: File exists"
    assert (tmp_path / "outer").read_text() == "in the way"
