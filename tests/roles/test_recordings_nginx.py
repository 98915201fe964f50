"""nginx-recordings with its real configuration; only the balancer is replaced by a small server."""

import http.client
import json
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from lab.services import Process

PROJECT = Path(__file__).parents[2]
ROLE = PROJECT / "roles/nginx"
OPEN, HIDDEN, PROTECTED = (f"{letter * 40}-1757000000123" for letter in "abc")
PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars_files: ["{role}/defaults/main.yml", "{role}/vars/main.yml"]
  tasks:
    - ansible.builtin.import_role:
        name: nginx
        tasks_from: playback
    - ansible.builtin.template:
        src: "{role}/templates/etc/nginx-recordings/nginx.conf.j2"
        dest: "{root}/nginx.conf"
"""
pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed: see bin/packages")


@dataclass
class Balancer:
    """Authorises as the balancer does, and stores the requested addresses."""

    requested: list[str] = field(default_factory=list)
    away: bool = False

    def verdict(self, uri: str) -> int:
        self.requested.append(uri)
        if self.away:
            return 503
        path = uri.partition("?")[0]
        return 204 if OPEN in path else 403 if PROTECTED in path else 404


@dataclass
class Recordings:
    """A running nginx over a share in a temporary directory."""

    root: Path
    balancer: Balancer

    def write(self, path: str, content: bytes = b"0123456789") -> Path:
        target = self.root / "share" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return target

    def get(self, path: str, *, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.root / "http.sock"))
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        answer = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        connection.close()
        return answer


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(**settings: str) -> Iterator[Recordings]:
    """nginx and the player, as the role configures and installs them with these settings."""
    with tempfile.TemporaryDirectory(prefix="bbb-fleet-") as name:
        root, balancer = Path(name), Balancer()
        _render(root, settings)
        server = _Server(str(root / "balancer.sock"), _handler(balancer))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = f"daemon off; pid {root}/pid; user {_owner(root)};"
        nginx = Process("nginx", ["nginx", "-c", str(root / "nginx.conf"), "-g", options], root / "log")
        try:
            nginx.wait_until(lambda: _listens(root / "http.sock"))
            yield Recordings(root, balancer)
        finally:
            nginx.stop()
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def running() -> Iterator[Recordings]:
    with serving() as running:
        yield running


@pytest.fixture
def recordings(running: Recordings) -> Recordings:
    running.balancer.requested.clear()
    running.balancer.away = False
    return running


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        return asking.connect_ex(str(path)) == 0


def _owner(root: Path) -> str:
    return f"{root.owner()} {root.group()}"


def _render(root: Path, settings: dict[str, str]) -> None:
    (root / "play.yml").write_text(PLAYBOOK.format(role=ROLE, root=root))
    # On a host the role creates it in /usr/share.
    (root / "player").mkdir()
    variables = settings | {
        "ansible_python_interpreter": sys.executable,
        "nginx_recordings_root": f"{root}/share",
        "nginx_upstreams": [f"unix:{root}/balancer.sock"],
        "__nginx_recordings_socket": f"{root}/http.sock",
        "__nginx_playback_directory": f"{root}/player",
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", str(root / "play.yml")]
    subprocess.run([*command, "-e", json.dumps(variables)], check=True, cwd=PROJECT, capture_output=True)


def _handler(balancer: Balancer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(balancer.verdict(self.headers["X-Original-URI"]))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def address_string(self) -> str:
            return "nginx"

        def log_message(self, format: str, *arguments: object) -> None:
            """Suppress it, because nginx logs too."""

    return Handler


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("video/webcams.webm", "video/webm"),
        ("video-0.m4v", "video/mp4"),
        ("caption_en.vtt", "text/vtt; charset=utf-8"),
        ("shapes.svg", "image/svg+xml"),
        ("metadata.xml", "text/xml; charset=utf-8"),
        ("audio.ogg", "audio/ogg"),
        ("notes.pdf", "application/pdf"),
    ],
)
def test_every_file_has_the_type_that_players_need(recordings: Recordings, name: str, kind: str) -> None:
    recordings.write(f"published/presentation/{OPEN}/{name}")
    status, headers, body = recordings.get(f"/presentation/{OPEN}/{name}")
    assert (status, headers["content-type"], body) == (200, kind, b"0123456789")


def test_a_range_of_a_video_is_served(recordings: Recordings) -> None:
    recordings.write(f"published/video/{OPEN}/video-0.m4v")
    status, headers, body = recordings.get(f"/playback/video/{OPEN}/video-0.m4v", Range="bytes=2-4")
    assert (status, headers["content-range"], body) == (206, "bytes 2-4/10", b"234")


@pytest.mark.parametrize("prefix", ["/screenshare", "/recording/screenshare", "/playback/screenshare"])
def test_every_address_that_bbb_uses_for_a_format_works(recordings: Recordings, prefix: str) -> None:
    recordings.write(f"published/screenshare/{OPEN}/screenshare-0.webm")
    assert recordings.get(f"{prefix}/{OPEN}/screenshare-0.webm")[0] == 200


def test_a_format_with_a_hyphen_is_served(recordings: Recordings) -> None:
    recordings.write(f"published/screen-share/{OPEN}/video.webm")
    assert recordings.get(f"/playback/screen-share/{OPEN}/video.webm")[0] == 200


def test_an_unpublished_recording_is_served_if_the_balancer_allows_it(recordings: Recordings) -> None:
    recordings.write(f"unpublished/notes/{OPEN}/notes.pdf", b"unpublished")
    assert recordings.get(f"/notes/{OPEN}/notes.pdf")[2] == b"unpublished"
    recordings.write(f"published/notes/{OPEN}/notes.pdf", b"published")
    assert recordings.get(f"/notes/{OPEN}/notes.pdf")[2] == b"published"


@pytest.mark.parametrize(("record", "status"), [(HIDDEN, 404), (PROTECTED, 403)])
def test_no_byte_without_authorisation(recordings: Recordings, record: str, status: int) -> None:
    for tree in ("published", "unpublished"):
        recordings.write(f"{tree}/presentation/{record}/metadata.xml", b"secret bytes")
    for address in (f"/presentation/{record}/metadata.xml", f"/playback/presentation/2.3/{record}"):
        seen, _, body = recordings.get(address)
        assert seen == status
        assert b"secret bytes" not in body


def test_nothing_is_served_if_the_balancer_is_away(recordings: Recordings) -> None:
    recordings.write(f"published/presentation/{OPEN}/metadata.xml")
    recordings.balancer.away = True
    assert recordings.get(f"/presentation/{OPEN}/metadata.xml")[0] == 503


@pytest.mark.parametrize(
    "address",
    [
        f"/presentation/{OPEN}/../{HIDDEN}/metadata.xml",
        f"/presentation/{OPEN}/%2e%2e/{HIDDEN}/metadata.xml",
        f"/presentation/{OPEN}/..%2f{HIDDEN}/metadata.xml",
        f"//presentation//{HIDDEN}/./metadata.xml",
        f"/presentation/{HIDDEN}/metadata.xml?x=/presentation/{OPEN}/",
    ],
)
def test_the_authorised_address_is_the_one_that_is_served(recordings: Recordings, address: str) -> None:
    recordings.write(f"published/presentation/{HIDDEN}/metadata.xml", b"secret bytes")
    status, _, body = recordings.get(address)
    assert status == 404
    assert b"secret bytes" not in body
    assert all(uri.startswith(f"/presentation/{HIDDEN}/") for uri in recordings.balancer.requested)


def test_a_symbolic_link_in_a_recording_is_not_followed(recordings: Recordings) -> None:
    target = recordings.write(f"published/presentation/{OPEN}/real.txt")
    (target.parent / "passwd").symlink_to("/etc/passwd")
    assert recordings.get(f"/presentation/{OPEN}/passwd")[0] == 404


@pytest.mark.parametrize("address", ["/etc/passwd", "/spool/x.tar", "/published/presentation/", "/.bbb-fleet-share"])
def test_other_files_of_the_share_are_not_served(recordings: Recordings, address: str) -> None:
    recordings.write("spool/x.tar")
    recordings.write(".bbb-fleet-share")
    assert recordings.get(address)[0] == 404
    assert recordings.balancer.requested == []


@pytest.mark.parametrize(
    "address", [f"/playback/presentation/2.3/{OPEN}", f"/playback/video/{OPEN}/", f"/recording/screenshare/{OPEN}/"]
)
def test_the_plain_player_opens_for_authorised_recordings(recordings: Recordings, address: str) -> None:
    status, headers, body = recordings.get(address)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"/playback/plain/player.js" in body


def test_the_players_own_files_need_no_authorisation(recordings: Recordings) -> None:
    status, headers, _ = recordings.get("/playback/plain/player.js")
    assert (status, headers["content-type"]) == (200, "application/javascript; charset=utf-8")
    assert recordings.balancer.requested == []


#: A small version of bbb-playback's `npm run build`, with the addresses that BBB's package uses.
BUILD = {
    "index.html": (
        '<!doctype html><script defer src="/playback/presentation/2.3/static/js/main.8a1c.js"></script>'
        '<link href="/playback/presentation/2.3/static/css/main.77f0.css" rel="stylesheet"><div id="root"></div>'
    ),
    "static/js/main.8a1c.js": "fetch('/presentation/…/metadata.xml')",
    "static/css/main.77f0.css": "body{}",
    "static/media/icons.3d2b.woff": "a font",
    "favicon.ico": "an icon",
}
#: Files that the player requests below /presentation/ID/ (bbb-playback, src/config.js).
REQUESTED = [
    "metadata.xml",
    "shapes.svg",
    "panzooms.xml",
    "cursor.xml",
    "slides_new.xml",
    "deskshare.xml",
    "presentation_text.json",
    "captions.json",
    "polls.json",
    "external_videos.json",
    "notes.html",
    "tldraw.json",
]


@pytest.fixture(scope="module", params=["directory", "archive"])
def bbbs_player(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recordings]:
    """nginx with BBB's own player, from its build directory or a tar of it."""
    build = tmp_path_factory.mktemp("player") / "build"
    for name, content in BUILD.items():
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).write_text(content)
    packed = shutil.make_archive(str(build), "tar", build)
    with serving(nginx_playback_archive=str(build) if request.param == "directory" else packed) as running:
        yield running


def test_bbbs_player_is_served_with_all_its_files(bbbs_player: Recordings) -> None:
    for address in (f"/playback/presentation/2.3/{OPEN}", f"/playback/presentation/2.3/{OPEN}/?layout=swap"):
        status, headers, page = bbbs_player.get(address)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert page.decode() == BUILD["index.html"]
    bbbs_player.balancer.requested.clear()
    for name, content in BUILD.items():
        status, _, body = bbbs_player.get(f"/playback/presentation/2.3/{name}")
        assert (status, body.decode()) == (200, content), name
    assert bbbs_player.balancer.requested == []


def test_bbbs_player_gets_every_file_that_it_requests(bbbs_player: Recordings) -> None:
    for name in REQUESTED:
        bbbs_player.write(f"published/presentation/{OPEN}/{name}", name.encode())
        status, _, body = bbbs_player.get(f"/presentation/{OPEN}/{name}")
        assert (status, body.decode()) == (200, name)
    # It looks for a video, and uses only the sound if there is none.
    bbbs_player.write(f"published/presentation/{OPEN}/video/webcams.webm")
    found = {
        name: bbbs_player.get(f"/presentation/{OPEN}/{name}", method="HEAD")[0]
        for name in ("video/webcams.webm", "video/webcams.mp4", "deskshare/deskshare.webm")
    }
    assert found == {"video/webcams.webm": 200, "video/webcams.mp4": 404, "deskshare/deskshare.webm": 404}


@pytest.mark.parametrize(("record", "status"), [(HIDDEN, 404), (PROTECTED, 403)])
def test_bbbs_player_opens_only_for_authorised_recordings(bbbs_player: Recordings, record: str, status: int) -> None:
    assert bbbs_player.get(f"/playback/presentation/2.3/{record}")[0] == status


def test_other_formats_keep_their_own_pages_beside_bbbs_player(bbbs_player: Recordings) -> None:
    bbbs_player.write(f"published/video/{OPEN}/index.html", b"the video's page")
    assert bbbs_player.get(f"/playback/video/{OPEN}/")[2] == b"the video's page"
