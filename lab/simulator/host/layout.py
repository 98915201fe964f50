"""The files that make a host look like a BBB node, and their contents (reference 5.1, 7.1)."""

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from lab.simulator.host.bundle import source_digest
from lab.simulator.host.properties import OVERRIDES, PACKAGED, RECORDING

LIBRARY = Path("usr/local/lib/bbb-simulator")
NGINX = Path("etc/nginx/sites-available/bigbluebutton")
AKKA = Path("etc/bigbluebutton/bbb-apps-akka.conf")
UNITS = ("bbb-web.service", "bbb-rap-resque-worker.service")
#: There only if the kernel has IPv6.
IPV6_INTERFACES = Path("/proc/net/if_inet6")
_FILES = Path(__file__).parent / "files"
_CLIENT = Path(__file__).parent.parent / "client"


@dataclass(frozen=True, slots=True)
class Identity:
    """What distinguishes a node from other nodes."""

    hostname: str
    secret: str
    #: Paths on the host; without a certificate the node uses plain HTTP.
    certificate: str = ""
    key: str = ""
    release: str = "3.0.37"
    #: Command-line options of the two units.
    web_options: str = ""
    rap_options: str = ""

    @property
    def scheme(self) -> str:
        """`https` with a certificate, else `http`."""
        return "https" if self.certificate else "http"

    @property
    def server_url(self) -> str:
        """bigbluebutton.web.serverURL."""
        return f"{self.scheme}://{self.hostname}"


@dataclass(frozen=True, slots=True)
class HostFile:
    """One file to write."""

    path: Path
    text: str
    mode: int = 0o644
    #: Whether bigbluebutton owns the file instead of root.
    of_user: bool = False
    #: Whether an existing file is kept, as by a package's configure step.
    once: bool = False


def files(identity: Identity) -> list[HostFile]:
    """Return every file of a node with this identity."""
    return [
        _overrides(identity),
        _packaged(),
        HostFile(Path("etc/bigbluebutton/bigbluebutton-release"), f"BIGBLUEBUTTON_RELEASE={identity.release}\n"),
        HostFile(AKKA, akka(identity.server_url, identity.secret), 0o640, of_user=True),
        HostFile(RECORDING, _filled("bigbluebutton.yml", identity)),
        HostFile(NGINX, nginx(identity)),
        HostFile(Path("etc/default/bbb-simulator"), _options(identity)),
        *(HostFile(Path("etc/systemd/system") / unit, (_FILES / unit).read_text()) for unit in UNITS),
        _tool("bbb-conf", "lab.simulator.host.bbb_conf"),
        _tool("bbb-record", "lab.simulator.host.bbb_record"),
        _page("playback/presentation/2.3/index.html", "player.html"),
        _page("playback/presentation/2.3/player.js", "player.js"),
        HostFile(Path("var/www/bigbluebutton-default/index.html"), (_CLIENT / "welcome.html").read_text()),
    ]


def _overrides(identity: Identity) -> HostFile:
    text = f"bigbluebutton.web.serverURL={identity.server_url}\nsecuritySalt={identity.secret}\n"
    return HostFile(OVERRIDES, text, 0o640, of_user=True)


def _packaged() -> HostFile:
    # Salt and address in the packaged file are not those in force, so that reading only this file is a mistake.
    text = (
        "apiVersion=2.0\n"
        "bigbluebutton.web.serverURL=http://bigbluebutton.invalid\n"
        f"securitySalt={secrets.token_hex(20)}\n"
        "supportedChecksumAlgorithms=sha1,sha256,sha384,sha512\n"
        "defaultGuestPolicy=ALWAYS_ACCEPT\n"
    )
    return HostFile(PACKAGED, text, 0o640, of_user=True, once=True)


def akka(server_url: str, secret: str) -> str:
    """Return bbb-apps-akka.conf."""
    return f'services {{\n  bbbWebAPI = "{server_url}/bigbluebutton/api"\n  sharedSecret = "{secret}"\n}}\n'


def _filled(name: str, identity: Identity) -> str:
    text = (_FILES / name).read_text()
    values = {"HOSTNAME": identity.hostname, "SCHEME": identity.scheme, "RELEASE": identity.release}
    for word, value in values.items():
        text = text.replace(f"@{word}@", value)
    return text


def nginx(identity: Identity) -> str:
    """Return the node's nginx site: TLS in front of bbb-web; plain HTTP only redirects."""
    upgrade = "map $http_upgrade $bbb_connection {\n    default upgrade;\n    '' '';\n}\n"
    locations = (_FILES / "locations.conf").read_text().rstrip()
    plain = _filled("site.conf", identity)
    if not identity.certificate:
        return _listening(upgrade + plain.replace("@REDIRECT@", locations))
    secure = (
        f"server {{\n    listen 443 ssl;\n    listen [::]:443 ssl;\n    server_name {identity.hostname};\n"
        f"    ssl_certificate {identity.certificate};\n    ssl_certificate_key {identity.key};\n"
        f"    ssl_protocols TLSv1.2 TLSv1.3;\n{locations}\n}}\n"
    )
    site = upgrade + plain.replace("@REDIRECT@", "    return 301 https://$host$request_uri;") + secure
    return _listening(site)


def _listening(site: str) -> str:
    """The site without its IPv6 listeners if the kernel has no IPv6: nginx would not start with them."""
    return site if IPV6_INTERFACES.exists() else re.sub(r"    listen \[::\].*\n", "", site)


def _options(identity: Identity) -> str:
    # The digest makes new code a change of this file, which restarts the services.
    options = f'BBB_WEB_OPTIONS="{identity.web_options}"\nBBB_RAP_OPTIONS="{identity.rap_options}"\n'
    return f"# code {source_digest()}\n{options}"


def _tool(name: str, module: str) -> HostFile:
    text = f'#!/bin/sh\nPYTHONPATH=/{LIBRARY} exec /usr/bin/python3 -B -m {module} "$@"\n'
    return HostFile(Path("usr/bin") / name, text, 0o755)


def _page(path: str, asset: str) -> HostFile:
    return HostFile(Path("var/bigbluebutton") / path, (_CLIENT / asset).read_text(), of_user=True)
