"""PostgreSQL: reached only from the balancer's hosts, and only with a password."""

from __future__ import annotations

from acceptance.support.hosts import Host, Hosts

GROUP = "database"
PYTHON = "/opt/bbb-fleet/current/bin/python"
#: Tries to log in with a wrong password and prints the server's message.
WRONG_PASSWORD = """
import sys, psycopg
try:
    psycopg.connect(host=sys.argv[1], port=sys.argv[2], dbname=sys.argv[3], user=sys.argv[4],
                    password="acceptance-wrong", sslmode="require", connect_timeout=5)
except psycopg.OperationalError as error:
    print(error)
else:
    print("let in")
"""


def _port(host: Host, hosts: Hosts) -> str:
    return hosts.variable(host.name, "postgresql_port", "5432")


def test_unrelated_host_is_refused(host: Host, balancer_host: Host, unrelated_host: Host, hosts: Hosts) -> None:
    """only the balancer's hosts reach PostgreSQL"""
    address, port = hosts.address(host.name), _port(host, hosts)
    assert balancer_host.reaches(address, port), f"{balancer_host.name} does not reach PostgreSQL on {host.name}"
    assert not unrelated_host.reaches(address, port), (
        f"{unrelated_host.name} reaches PostgreSQL on {host.name}, port {port}"
    )


def test_wrong_password_is_refused(host: Host, balancer_host: Host, hosts: Hosts) -> None:
    """PostgreSQL refuses a wrong password, even from a balancer's host"""
    names = [hosts.variable(host.name, name, "bbb_fleet") for name in ("postgresql_database", "postgresql_user")]
    message = _login_error(host, balancer_host, hosts, *names)
    assert "password authentication failed" in message, _said(host, balancer_host, message)


def test_superuser_cannot_log_in_remotely(host: Host, balancer_host: Host, hosts: Hosts) -> None:
    """PostgreSQL's superuser cannot log in over the network"""
    message = _login_error(host, balancer_host, hosts, "postgres", "postgres")
    refused = "no pg_hba.conf entry" in message or "authentication failed" in message
    assert refused, _said(host, balancer_host, message)


def _login_error(host: Host, source: Host, hosts: Hosts, database: str, user: str) -> str:
    command = (PYTHON, "-c", WRONG_PASSWORD, hosts.address(host.name), _port(host, hosts), database, user)
    return source.run(*command).succeeded().output.strip()


def _said(host: Host, source: Host, message: str) -> str:
    return f"PostgreSQL on {host.name} to {source.name}: {message}"
