"""Whether one host gets through to a port of another."""

from __future__ import annotations

from acceptance.support.hosts import Host

#: bash opens the connection itself, so no tool has to be installed. A packet that is dropped counts as refused.
CONNECT = 'timeout 5 bash -c "exec 3<>/dev/tcp/$1/$2"'


def reaches(source: Host, address: str, port: str) -> bool:
    """True if a TCP connection from `source` opens."""
    return source.shell(CONNECT, address, port).ok
