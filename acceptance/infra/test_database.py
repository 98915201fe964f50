"""PostgreSQL: reached from the balancer's hosts only, and by nobody without the password."""

from __future__ import annotations

from acceptance.support.hosts import Host, Hosts
from acceptance.support.reach import reaches

GROUP = "database"
PYTHON = "/opt/bbb-fleet/current/bin/python"
#: Prints the server's words when a login with a wrong password is tried.
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


def test_stranger_is_refused(host: Host, client: Host, stranger: Host, hosts: Hosts) -> None:
    """PostgreSQL refuses a stranger's address"""
    address, port = hosts.address(host.name), _port(host, hosts)
    assert reaches(client, address, port), f"{client.name} does not reach PostgreSQL on {host.name}"
    assert not reaches(stranger, address, port), f"{stranger.name} reaches PostgreSQL on {host.name}, port {port}"


def test_wrong_password_is_refused(host: Host, client: Host, hosts: Hosts) -> None:
    """PostgreSQL refuses a wrong password, also from a balancer's host"""
    names = [hosts.variable(host.name, name, "bbb_fleet") for name in ("postgresql_database", "postgresql_user")]
    tried = client.run(PYTHON, "-c", WRONG_PASSWORD, hosts.address(host.name), _port(host, hosts), *names)
    answer = tried.succeeded().output
    assert "password authentication failed" in answer, f"PostgreSQL on {host.name} to {client.name}: {answer.strip()}"


def test_superuser_stays_at_home(host: Host, client: Host, hosts: Hosts) -> None:
    """PostgreSQL's superuser cannot log in over the network"""
    tried = client.run(
        PYTHON, "-c", WRONG_PASSWORD, hosts.address(host.name), _port(host, hosts), "postgres", "postgres"
    )
    answer = tried.succeeded().output
    assert "no pg_hba.conf entry" in answer or "authentication failed" in answer, (
        f"PostgreSQL on {host.name} to {client.name}: {answer.strip()}"
    )
