"""Redis: reached only from the balancer's hosts, and only with its password."""

from __future__ import annotations

from acceptance.support.hosts import Host, Hosts

GROUP = "cache"
#: Sends one command over TLS without a password and prints the answer.
ASK = 'printf "PING\\r\\nQUIT\\r\\n" | timeout 10 openssl s_client -quiet -verify_quiet -connect "$1:$2" 2>&1'


def _port(host: Host, hosts: Hosts) -> str:
    return hosts.variable(host.name, "redis_port", "6379")


def test_unauthenticated_command_is_refused(host: Host, balancer_host: Host, hosts: Hosts) -> None:
    """Redis refuses a command without a password"""
    answer = balancer_host.shell(ASK, hosts.address(host.name), _port(host, hosts)).output
    assert "PONG" not in answer, f"Redis on {host.name} answers without a password"
    assert "NOAUTH" in answer, (
        f"Redis on {host.name} does not ask {balancer_host.name} for a password: {answer.strip()!r}"
    )


def test_unrelated_host_is_refused(host: Host, balancer_host: Host, unrelated_host: Host, hosts: Hosts) -> None:
    """only the balancer's hosts reach Redis"""
    address, port = hosts.address(host.name), _port(host, hosts)
    assert balancer_host.reaches(address, port), f"{balancer_host.name} does not reach Redis on {host.name}"
    assert not unrelated_host.reaches(address, port), f"{unrelated_host.name} reaches Redis on {host.name}, port {port}"
