"""All parts that handle a recording accept the same recordIDs and names of formats."""

import re
from pathlib import Path

import yaml

from balancer.core import recordings
from tests.unit.roles.scripts import NODE_FILES, PROJECT, load

RECORD_ID, FORMAT = recordings.RECORD_ID.pattern, recordings.FORMAT.pattern


def literal(path: Path, pattern: str) -> str:
    """The text that the pattern's group matches in a file; the pattern must match once."""
    (text,) = re.findall(pattern, path.read_text())
    return str(text)


def test_the_agent_accepts_the_balancers_names() -> None:
    name = load(NODE_FILES / "handover.py").NAME
    assert name.pattern == f"(?P<record>{RECORD_ID})-(?P<format>{FORMAT})"


def test_the_gate_accepts_the_balancers_names() -> None:
    name = load(NODE_FILES / "spool_gate.py").NAME
    assert name.pattern == rf"{RECORD_ID}-{FORMAT}\.tar"


def test_the_hook_accepts_the_balancers_names() -> None:
    hook = NODE_FILES / "post_publish_bbb_fleet.rb"
    assert literal(hook, r"RECORD_ID = /\\A(.*)\\z/") == RECORD_ID
    assert literal(hook, r"FORMAT = /\\A(.*)\\z/") == FORMAT


def test_nginx_accepts_the_balancers_names() -> None:
    variables = yaml.safe_load((PROJECT / "roles/nginx/vars/main.yml").read_text())
    assert variables["__nginx_recording_id"] == RECORD_ID
    assert variables["__nginx_format"] == FORMAT


def test_the_player_accepts_the_balancers_record_ids() -> None:
    player = PROJECT / "roles/nginx/files/playback/player.js"
    assert literal(player, r"RECORD_ID = /\\/\((.*?)\)\(") == RECORD_ID
