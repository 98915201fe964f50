"""The simulator on a host: settings files, bbb-conf, bbb-record, nginx site, bundle."""

import ast
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from lab.simulator.host import bbb_conf, bbb_record, layout
from lab.simulator.host.bundle import bundle
from lab.simulator.host.layout import Identity, files, nginx
from lab.simulator.host.properties import assign, playback_origin, properties, read
from lab.simulator.recordings.tree import Tree

IDENTITY = Identity("bbb1.fleet.test", "s3cret", certificate="/etc/ssl/node.pem", key="/etc/ssl/node.key")
RECORD_ID = "e0666d842897ee73452acc0d4239d02147a9c960-1757000000123"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with a host's files."""
    for each in files(IDENTITY):
        path = tmp_path / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(each.text)
    return tmp_path


def test_the_overrides_win_over_the_packaged_file(root: Path) -> None:
    packaged = read(root / "usr/share/bbb-web/WEB-INF/classes/bigbluebutton.properties", "=")
    assert packaged["securitySalt"] not in ("", "s3cret")
    assert properties(root)["securitySalt"] == "s3cret"
    assert properties(root)["bigbluebutton.web.serverURL"] == "https://bbb1.fleet.test"


def test_two_hosts_never_share_the_packaged_salt() -> None:
    salts = [next(each.text for each in files(IDENTITY) if each.path.name == "bigbluebutton.properties") for _ in "ab"]
    assert salts[0] != salts[1]


def test_secret_prints_what_people_and_scripts_read(root: Path) -> None:
    printed = bbb_conf.show_secret(root)
    assert "\n    URL: https://bbb1.fleet.test/bigbluebutton/\n    Secret: s3cret\n" in printed


def test_check_reports_nothing_about_a_sound_node_and_names_a_stale_host(root: Path) -> None:
    assert bbb_conf.check(root).rstrip().endswith("# Potential problems described below")
    assign(root / "usr/local/bigbluebutton/core/scripts/bigbluebutton.yml", ": ", {"playback_host": "template.test"})
    assert "# Warning: playback_host is template.test, serverURL says bbb1.fleet.test" in bbb_conf.check(root)


def test_setip_moves_every_name_and_published_links(root: Path) -> None:
    published = root / f"var/bigbluebutton/unpublished/presentation/{RECORD_ID}/metadata.xml"
    published.parent.mkdir(parents=True)
    published.write_text("<link>https://bbb1.fleet.test/playback/x</link><link>https://other.test/y</link>")
    bbb_conf.set_ip(root, "bbb9.fleet.test")
    assert properties(root)["bigbluebutton.web.serverURL"] == "https://bbb9.fleet.test"
    assert properties(root)["securitySalt"] == "s3cret"
    assert playback_origin(root) == "https://bbb9.fleet.test"
    assert published.read_text() == "<link>https://bbb9.fleet.test/playback/x</link><link>https://other.test/y</link>"
    assert "bbb1" not in (root / "etc/nginx/sites-available/bigbluebutton").read_text()
    assert "https://bbb9.fleet.test/bigbluebutton/api" in (root / "etc/bigbluebutton/bbb-apps-akka.conf").read_text()


def test_setsecret_changes_the_overrides_alone(root: Path) -> None:
    bbb_conf.set_secret(root, "another")
    assert properties(root)["securitySalt"] == "another"
    assert 'sharedSecret = "another"' in (root / "etc/bigbluebutton/bbb-apps-akka.conf").read_text()


def test_recording_settings_may_be_overridden(root: Path) -> None:
    override = root / "etc/bigbluebutton/recording/recording.yml"
    override.parent.mkdir(parents=True)
    override.write_text("playback_host: archive.test\n")
    assert playback_origin(root) == "https://archive.test"


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx checks its own configuration")
@pytest.mark.parametrize("secure", [True, False])
def test_nginx_accepts_the_site(tmp_path: Path, secure: bool) -> None:
    identity = Identity("bbb1.fleet.test", "s3cret")
    if secure:
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"]
        pem, key = tmp_path / "c.pem", tmp_path / "c.key"
        subprocess.run([*command, "-keyout", key, "-out", pem], check=True, capture_output=True)
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(pem, key)
        identity = Identity("bbb1.fleet.test", "s3cret", certificate=str(pem), key=str(key))
    main = f"pid {tmp_path}/pid;\nerror_log {tmp_path}/error.log;\nevents {{}}\nhttp {{\n{nginx(identity)}}}\n"
    (tmp_path / "nginx.conf").write_text(main)
    checked = subprocess.run(
        ["nginx", "-t", "-q", "-c", tmp_path / "nginx.conf", "-p", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_site_listens_on_ipv6_only_if_the_kernel_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = Identity("bbb1.fleet.test", "s3cret", certificate="c.pem", key="c.key")
    monkeypatch.setattr(layout, "IPV6_INTERFACES", tmp_path)
    assert nginx(identity).count("    listen [::]:") == 2
    monkeypatch.setattr(layout, "IPV6_INTERFACES", tmp_path / "missing")
    assert re.findall("listen .*;", nginx(identity)) == ["listen 80;", "listen 443 ssl;"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd checks its own units")
def test_systemd_accepts_the_units(root: Path) -> None:
    units = sorted((root / "etc/systemd/system").glob("*.service"))
    assert [unit.name for unit in units] == ["bbb-rap-resque-worker.service", "bbb-web.service"]
    checked = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert not [line for line in checked.stderr.splitlines() if str(root) in line], checked.stderr


def test_bbb_record_deletes_what_belongs_to_one_recording(root: Path) -> None:
    tree = Tree(root)
    tree.make()
    other = RECORD_ID.replace("e0666d", "f1777e")
    for record_id in (RECORD_ID, other):
        for path in (tree.raw(record_id), tree.place("published", "video", record_id)):
            path.mkdir(parents=True)
        tree.status("published", record_id, "video").touch()
    assert bbb_record.listed(tree) == [f"{RECORD_ID}  video", f"{other}  video"]
    bbb_record.delete(tree, RECORD_ID)
    assert bbb_record.listed(tree) == [f"{other}  video"]
    assert not list(root.rglob(f"*{RECORD_ID}*"))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="media is made by ffmpeg")
def test_the_bundle_runs_from_anywhere_without_the_project(tmp_path: Path) -> None:
    bundle(tmp_path / "simulator.tar")
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "--extract", "--file", tmp_path / "simulator.tar"], cwd=tmp_path / "unpacked", check=True)
    assert (tmp_path / "unpacked/media/webcams.webm").stat().st_size > 1000
    assert not list((tmp_path / "unpacked").rglob("__pycache__"))
    # Besides the standard library and this package, only the dependencies of Debian's python3-aiohttp are imported.
    code = "import sys, lab.simulator.__main__, lab.simulator.host.__main__, lab.simulator.recordings.__main__\n"
    code += "print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "unpacked", check=True, capture_output=True, text=True
    )
    assert not {"balancer", "yaml", "click", "requests", "defusedxml"} & set(done.stdout.split())
    assert {"lab", "aiohttp"} <= set(done.stdout.split())


def test_the_simulator_does_not_import_the_balancer() -> None:
    package = Path(bbb_conf.__file__).parents[1]
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.partition(".")[0] == "balancer"], path
