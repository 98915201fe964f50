"""Redis: whoever does not know the password, or has no business with it, gets nothing."""

from __future__ import annotations

from acceptance.support.hosts import Host, Hosts
from acceptance.support.reach import reaches

GROUP = "cache"
#: Sends one command over TLS without a password and prints the answer.
ASK = 'printf "PING\\r\\nQUIT\\r\\n" | timeout 10 openssl s_client -quiet -verify_quiet -connect "$1:$2" 2>&1'


def _port(host: Host, hosts: Hosts) -> str:
    return hosts.variable(host.name, "redis_port", "6379")


def test_unauthenticated_command_is_refused(host: Host, client: Host, hosts: Hosts) -> None:
    """Redis refuses a command without a password"""
    answer = client.shell(ASK, hosts.address(host.name), _port(host, hosts)).output
    assert "PONG" not in answer, f"Redis on {host.name} answers without a password"
    assert "NOAUTH" in answer, f"Redis on {host.name} does not ask {client.name} for a password: {answer.strip()!r}"


def test_stranger_is_refused(host: Host, client: Host, stranger: Host, hosts: Hosts) -> None:
    """Redis is reached from the balancer's hosts only"""
    address, port = hosts.address(host.name), _port(host, hosts)
    assert reaches(client, address, port), f"{client.name} does not reach Redis on {host.name}"
    assert not reaches(stranger, address, port), f"{stranger.name} reaches Redis on {host.name}, port {port}"
