"""The edge hosts: old TLS is refused, and the log has no query strings because they hold signatures and names."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

import pytest

from acceptance.support.bbb import BBB
from acceptance.support.hosts import Host

GROUP = "edge"
HANDSHAKE = 'timeout 10 openssl s_client -connect localhost:443 "-$1" -cipher ALL:@SECLEVEL=0 </dev/null 2>&1'
CALL = (
    'printf \'GET %s HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n\' "$2" "$1" | '
    'timeout 20 openssl s_client -quiet -servername "$1" -connect localhost:443 2>/dev/null'
)
LOG = "/var/log/nginx/access.log"


@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_old_tls_is_refused(host: Host, version: str) -> None:
    """the edge refuses TLS older than 1.2"""
    assert "Cipher is (NONE)" in host.shell(HANDSHAKE, version).output, f"{host.name} accepts {version}"
    current = host.shell("timeout 10 openssl s_client -connect localhost:443 </dev/null 2>&1").output
    assert "Cipher is TLS" in current or "Cipher is ECDHE" in current, f"{host.name} does not accept current TLS either"


def test_log_keeps_no_query(host: Host, front_end: BBB) -> None:
    """the access log has the path of a call, but not its query"""
    word = f"acceptance{secrets.token_hex(6)}"
    # Called on the host itself because the public name leads to only one of several edges.
    url = urlsplit(f"{front_end.url}/{word}path?name={word}query")
    answer = host.shell(CALL, str(url.hostname), f"{url.path}?{url.query}")
    assert answer.output.startswith("HTTP/1.1 "), f"{host.name} does not answer a call: {answer.summary}"
    lines = host.shell(f'grep -c -F -- "$1" {LOG}', f"{word}path").output.strip()
    assert lines == "1", f"{host.name}: {LOG} has {lines or 'no'} lines about a call that was just made"
    assert not host.shell(f'grep -F -- "$1" {LOG}', f"{word}query").ok, f"{host.name}: {LOG} holds query strings"
