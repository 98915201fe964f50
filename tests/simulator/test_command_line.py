"""The simulator's command line: one or many nodes, options, a clean end."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import defusedxml.ElementTree
import pytest
import requests

from lab.simulator.options import parse
from tests.simulator.front_end import sign

PROJECT = Path(__file__).parents[2]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Start the simulator; yields the process and the lines that it prints before READY."""
    command = [sys.executable, "-m", "lab.simulator", *arguments]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            if line == "READY\n":
                break
            lines.append(line.strip())
        assert process.poll() is None, process.stderr and process.stderr.read()
        yield process, lines
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def origins(lines: list[str]) -> list[str]:
    return [f"http://{line.rpartition(' ')[2]}" for line in lines]


def meeting_ids(origin: str, secret: str) -> list[str | None]:
    signature = sign("getMeetings", "", secret=secret)
    answer = requests.get(f"{origin}/bigbluebutton/api/getMeetings?checksum={signature}", timeout=5)
    return [each.text for each in defusedxml.ElementTree.fromstring(answer.text).iter("meetingID")]


def test_many_nodes_run_in_one_process_each_with_its_own_secret() -> None:
    places = [f"--listen=127.0.0.1:{port}" for port in (0, 0, 0)]
    with running(*places, "--secret", "secret-{n}") as (process, lines):
        found = origins(lines)
        assert len(set(found)) == 3
        query = "name=Algebra&meetingID=course-77"
        signature = sign("create", query, secret="secret-2")
        created = requests.get(f"{found[1]}/bigbluebutton/api/create?{query}&checksum={signature}", timeout=5)
        assert "<returncode>SUCCESS</returncode>" in created.text
        listed = [meeting_ids(origin, f"secret-{n}") for n, origin in enumerate(found, 1)]
        assert listed == [[], ["course-77"], []]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_node_reads_its_identity_where_bbb_web_reads_it(tmp_path: Path) -> None:
    packaged = tmp_path / "usr/share/bbb-web/WEB-INF/classes/bigbluebutton.properties"
    packaged.parent.mkdir(parents=True)
    packaged.write_text(
        "securitySalt=wrong\nbigbluebutton.web.serverURL=http://wrong\ndefaultGuestPolicy=ASK_MODERATOR\n"
    )
    overrides = tmp_path / "etc/bigbluebutton/bbb-web.properties"
    overrides.parent.mkdir(parents=True)
    overrides.write_text("# ours\nsecuritySalt=right\nbigbluebutton.web.serverURL=https://bbb1.example.org\n")
    (overrides.parent / "bigbluebutton-release").write_text("BIGBLUEBUTTON_RELEASE=2.7.17\n")
    given = parse(["--from-host", "--root", str(tmp_path), "--listen", "127.0.0.1:0"], tmp_path)[0].settings
    assert (given.secret, given.server_url, given.guest_policy) == (
        "right",
        "https://bbb1.example.org",
        "ASK_MODERATOR",
    )
    assert given.profile.release == "2.7.17"


@pytest.mark.parametrize(
    ("root", "expected"), [("given", "given/node2"), ("given/{port}", "given/9001"), ("given/x{n}", "given/x2")]
)
def test_nodes_of_a_process_have_roots_of_their_own(tmp_path: Path, root: str, expected: str) -> None:
    arguments = ["--nodes", "2", "--first-port", "9000", "--secret", "s", "--root", str(tmp_path / root)]
    assert parse(arguments, tmp_path)[1].settings.root == tmp_path / expected


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--secret", "s"], "--listen"),
        (["--listen", "127.0.0.1:1"], "--secret"),
        (["--listen", "127.0.0.1:1", "--secret", "s", "--profile", "1.0"], "--profile"),
        (["--listen", "127.0.0.1:1", "--secret", "s", "--format", "slides"], "slides"),
        (["--listen", "127.0.0.1:1", "--secret", "s", "--algorithms", "md5"], "md5"),
        (["--listen", "nowhere", "--secret", "s"], "nowhere"),
    ],
)
def test_wrong_options_are_named(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("BBB_SIMULATOR_SECRET", raising=False)
    with pytest.raises(SystemExit):
        parse(arguments, tmp_path)
    assert named in capsys.readouterr().err
