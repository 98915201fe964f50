"""A recordID and a format's name have one spelling everywhere on a recording's way from a node to a browser."""

import re
from pathlib import Path

import yaml

from balancer.core import recordings
from tests.unit.roles.scripts import NODE_FILES, PROJECT, load

RECORD_ID, FORMAT = recordings.RECORD_ID.pattern, recordings.FORMAT.pattern


def quoted(path: Path, pattern: str) -> str:
    """What the pattern's only group matches in a file, at the pattern's only occurrence."""
    (text,) = re.findall(pattern, path.read_text())
    return str(text)


def test_the_agent_takes_the_names_that_the_balancer_takes() -> None:
    name = load(NODE_FILES / "handover.py").NAME
    assert name.pattern == f"(?P<record>{RECORD_ID})-(?P<format>{FORMAT})"


def test_the_gate_takes_the_names_that_the_balancer_takes() -> None:
    name = load(NODE_FILES / "spool_gate.py").NAME
    assert name.pattern == rf"{RECORD_ID}-{FORMAT}\.tar"


def test_the_hook_takes_the_names_that_the_balancer_takes() -> None:
    hook = NODE_FILES / "post_publish_bbb_fleet.rb"
    assert quoted(hook, r"RECORD_ID = /\\A(.*)\\z/") == RECORD_ID
    assert quoted(hook, r"FORMAT = /\\A(.*)\\z/") == FORMAT


def test_nginx_serves_the_names_that_the_balancer_takes() -> None:
    variables = yaml.safe_load((PROJECT / "roles/nginx/vars/main.yml").read_text())
    assert variables["__nginx_recording_id"] == RECORD_ID
    assert variables["__nginx_format"] == FORMAT


def test_the_player_reads_the_record_ids_that_the_balancer_takes() -> None:
    player = PROJECT / "roles/nginx/files/playback/player.js"
    assert quoted(player, r"RECORD_ID = /\\/\((.*?)\)\(") == RECORD_ID
