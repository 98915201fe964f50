"""The stages storage, database and cache keep their promises on real hosts, with defaults and with other settings."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.roles.conftest import LAB_SETTINGS, STAGES, LabFleet, lab_fleet

pytestmark = [pytest.mark.lab, pytest.mark.slow]

#: A small client of Redis, because none is installed on the balancer host yet.
REDIS = """
import socket, ssl, sys
context = ssl.create_default_context(cafile="/etc/bbb-fleet/ca.pem")
raw = socket.create_connection(("{host}", {port}), 5)
with context.wrap_socket(raw, server_hostname="{host}") as connection:
    for line in sys.stdin.read().splitlines():
        connection.sendall(line.encode() + b"\\r\\n")
        print(connection.recv(65536).decode())
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFleet]:
    """Three fresh hosts with the defaults."""
    yield from lab_fleet("roles", tmp_path_factory.mktemp("roles"))


@pytest.fixture(scope="module")
def converged(fleet: LabFleet) -> LabFleet:
    """The same hosts after a check and one verbose run of the stages."""
    fresh = fleet.run(*STAGES, options=("--check",))
    assert fresh.status == 0, fresh.output
    assert fresh.changed.keys() >= {"storage1", "db1", "lb1"}
    assert not fleet.vault_file.exists()
    converge(fleet)
    return fleet


def converge(fleet: LabFleet) -> None:
    """Run the stages and store their verbose output."""
    done = fleet.run(*STAGES, options=("-vvv", "--diff"), machine=False)
    assert done.status == 0, done.output[-5000:]
    fleet.shown += done.output


def redis(fleet: LabFleet, *lines: str, host: str = "db1", port: int = 6379) -> str:
    """Redis's replies to the balancer host."""
    script = REDIS.format(host=host, port=port)
    done = fleet.host("lb1").run("printf '%%b' %s | python3 -c %s", "\\n".join(lines), script)
    assert done.rc == 0, done.stderr
    return str(done.stdout)


def refused(fleet: LabFleet, port: int) -> bool:
    """Whether db1 refuses a connection from this machine, which is on the same network and not a client."""
    address = str(fleet.host("db1").interface("host0").addresses[0])
    try:
        socket.create_connection((address, port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_no_unit_failed(converged: LabFleet) -> None:
    for name in ("storage1", "db1", "lb1"):
        failed = converged.host(name).check_output("systemctl --failed --no-legend --plain")
        assert failed == "", converged.host(name).check_output("journalctl -b -p warning --no-pager | tail -50")


def test_the_accounts_have_the_same_numbers_everywhere(converged: LabFleet) -> None:
    for name in ("storage1", "db1", "lb1"):
        user = converged.host(name).user("bbb-fleet")
        assert (user.uid, user.gid, user.groups) == (2001, 2001, ["bbb-fleet", "bbb-fleet-spool"])
        assert converged.host(name).group("bbb-fleet-spool").gid == 2000


def test_redis_refuses_clients_without_the_password(converged: LabFleet) -> None:
    assert redis(converged, "PING").startswith("-NOAUTH")
    assert redis(converged, "AUTH not-the-password", "GET a").startswith("-WRONGPASS")


def test_redis_is_durable_and_evicts_no_keys(converged: LabFleet) -> None:
    password = converged.secrets()["redis_password"]
    answer = redis(
        converged,
        f"AUTH {password}",
        "CONFIG GET maxmemory-policy",
        "CONFIG GET appendonly",
        "CONFIG GET maxmemory",
    )
    for expected in ("noeviction", "yes", str(256 * 1024 * 1024)):
        assert expected in answer


def test_redis_accepts_only_tls(converged: LabFleet) -> None:
    script = (
        'import socket; s = socket.create_connection(("db1", 6379), 5); s.sendall(b"PING\\r\\n"); print(s.recv(99))'
    )
    assert "PONG" not in converged.host("lb1").run("python3 -c %s", script).stdout


@pytest.mark.parametrize("port", [5432, 6379])
def test_other_hosts_reach_no_store(converged: LabFleet, port: int) -> None:
    assert refused(converged, port)


def psql(fleet: LabFleet, host: str, options: str = "sslmode=verify-full sslrootcert=/etc/bbb-fleet/ca.pem") -> str:
    """PostgreSQL's answer to a login from db1 with the correct password."""
    password = fleet.secrets()["postgresql_password"]
    connection = f"host={host} dbname=bbb_fleet user=bbb_fleet {options}"
    done = fleet.host("db1").run("PGPASSWORD=%s psql -Atc 'SELECT current_user' %s", password, connection)
    return str(done.stdout + done.stderr).strip()


def test_postgresql_admits_the_balancer_over_tls_only(converged: LabFleet) -> None:
    assert psql(converged, "localhost") == "bbb_fleet"
    assert "no encryption" in psql(converged, "localhost", "sslmode=disable")


def test_postgresql_refuses_addresses_of_other_hosts(converged: LabFleet) -> None:
    # db1's own address passes the firewall, because it uses the loopback interface, and is not a client's.
    address = str(converged.host("db1").interface("host0").addresses[0])
    assert "no pg_hba.conf entry" in psql(converged, address, "sslmode=require")


def test_passwords_are_stored_as_scram(converged: LabFleet) -> None:
    query = "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'bbb_fleet'"
    assert converged.host("db1").check_output("sudo -u postgres psql -Atc %s", query) == "t"


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/etc/redis/password.conf", 0o640),
        ("/etc/redis/tls/key.pem", 0o640),
        ("/etc/postgresql/15/main/tls/key.pem", 0o640),
    ],
)
def test_files_with_secrets_are_not_world_readable(converged: LabFleet, path: str, mode: int) -> None:
    assert converged.host("db1").file(path).mode == mode


def test_the_share_is_mounted_and_laid_out(converged: LabFleet) -> None:
    host = converged.host("lb1")
    assert host.mount_point("/var/bigbluebutton").exists
    assert host.file("/var/bigbluebutton/.bbb-fleet-share").content_string.strip()
    for name in ("spool", "published", "unpublished", "deleted", ".incoming", ".trash"):
        directory = host.file(f"/var/bigbluebutton/{name}")
        assert (directory.user, directory.group, directory.mode) == ("bbb-fleet", "bbb-fleet-spool", 0o2775)


def test_the_empty_mount_point_cannot_be_written(converged: LabFleet) -> None:
    host = converged.host("lb1")
    host.check_output("systemctl stop bbb-fleet-share.timer var-bigbluebutton.mount")
    try:
        refusal = host.run("touch /var/bigbluebutton/lost")
        assert refusal.rc != 0
        assert "Operation not permitted" in refusal.stderr
        assert host.run("sudo -u bbb-fleet ls /var/bigbluebutton").rc != 0
    finally:
        # The timer starts this service, which mounts the share.
        host.check_output("systemctl start bbb-fleet-share.service bbb-fleet-share.timer")
    assert host.mount_point("/var/bigbluebutton").exists


def test_a_wrong_group_on_the_share_is_reported(converged: LabFleet) -> None:
    converged.host("storage1").check_output("chgrp 4711 /srv/bbb-fleet/published")
    broken = converged.run("storage", options=("--limit", "lb1"), machine=False)
    assert broken.status != 0
    assert "get group 4711, it must be 2000" in " ".join(broken.output.split())
    mended = converged.run("storage", options=("--limit", "storage1"))
    assert (mended.status, mended.changed) == (0, {"storage1": 1})


def test_all_services_return_after_a_restart(converged: LabFleet) -> None:
    for name in ("db1", "lb1"):
        converged.command("restart", name)
    assert converged.host("lb1").mount_point("/var/bigbluebutton").exists
    assert psql(converged, "localhost") == "bbb_fleet"
    assert redis(converged, "PING").startswith("-NOAUTH")
    assert refused(converged, 5432)


@pytest.fixture(scope="module")
def otherwise(converged: LabFleet) -> LabFleet:
    """The same hosts after a run with nearly all settings changed; the tests above use the defaults."""
    changed = LAB_SETTINGS | {
        "base_user": "fleet",
        "base_uid": 3001,
        "base_group": "fleet",
        "base_gid": 3001,
        "base_spool_group": "handover",
        "base_spool_gid": 3000,
        "base_ca_file": "/etc/bbb-fleet/trust/internal.pem",
        "base_time_service": "none",
        "base_firewall_directory": "/etc/bbb-fleet/rules",
        "base_journal_max_use": "200M",
        "base_sysctls": {"net.core.somaxconn": 2048},
        "postgresql_port": 5433,
        "postgresql_database": "fleet",
        "postgresql_user": "fleet",
        "postgresql_max_connections": 50,
        "postgresql_memory_mb": 256,
        "postgresql_client_addresses": ["192.0.2.0/24"],
        "postgresql_settings": {"log_min_duration_statement": 1000, "timezone": "Europe/Berlin", "jit": False},
        "redis_port": 6380,
        "redis_maxmemory": "64mb",
        "redis_appendonly": False,
        "redis_settings": {"timeout": 300},
        "redis_client_addresses": ["2001:db8::/32"],
        "nfs_client_mount_point": "/srv/recordings-share",
        "nfs_client_writers": [{"user": "fleet", "directories": ["spool", ".incoming"]}],
    }
    converged.settings(**changed)
    converge(converged)
    return converged


def test_no_secret_is_shown(otherwise: LabFleet) -> None:
    secrets = otherwise.secrets()
    for secret in (secrets["postgresql_password"], secrets["redis_password"], *secrets["balancer_secrets"]):
        assert secret not in otherwise.shown
    assert secrets["base_ca_key"].splitlines()[1] not in otherwise.shown


def test_other_settings_take_effect(otherwise: LabFleet) -> None:
    database = otherwise.host("db1")
    assert database.check_output("sudo -u postgres psql -p 5433 -Atc 'SHOW shared_buffers'") == "128MB"
    assert database.check_output("sudo -u postgres psql -p 5433 -Atc 'SHOW timezone'") == "Europe/Berlin"
    assert refused(otherwise, 5433)
    assert refused(otherwise, 6380)
    script = ssl_subject_script(6380)
    assert "db1" in otherwise.host("lb1").check_output("python3 -c %s", script)
    mounted = otherwise.host("lb1")
    assert mounted.mount_point("/srv/recordings-share").exists
    assert mounted.file("/srv/recordings-share/spool").gid == 3000


def ssl_subject_script(port: int) -> str:
    """A script that verifies db1's certificate and prints its names."""
    return (
        "import socket, ssl; c = ssl.create_default_context(cafile='/etc/bbb-fleet/trust/internal.pem'); "
        f"s = c.wrap_socket(socket.create_connection(('db1', {port}), 5), server_hostname='db1'); "
        "print(s.getpeercert()['subjectAltName'])"
    )


def test_invalid_settings_leave_the_old_files(otherwise: LabFleet) -> None:
    before = settings_files(otherwise)
    wrong = ("-e", '{"redis_settings": {"no-such-directive": "x"}, "postgresql_settings": {"no_such_setting": 1}}')
    for stage in ("cache", "database"):
        broken = otherwise.run("secrets", stage, options=wrong)
        assert broken.status != 0
        assert "failed to validate" in broken.output
    assert settings_files(otherwise) == before


def settings_files(fleet: LabFleet) -> list[bytes]:
    """The configuration files of the two servers."""
    paths = ("/etc/redis/redis.conf", "/etc/postgresql/15/main/conf.d/bbb-fleet.conf")
    return [fleet.host("db1").file(path).content for path in paths]


def test_a_certificate_in_its_last_days_is_renewed_once(otherwise: LabFleet) -> None:
    before = certificate(otherwise)
    # Every certificate expires within 1000 days.
    renewing = ("-e", "redis_certificate_renew_days=1000")
    renewed = otherwise.run("secrets", "cache", options=renewing)
    assert renewed.status == 0, renewed.output
    assert certificate(otherwise) != before
    # In no stage, which also proves that the changed settings are idempotent.
    again = otherwise.run(*STAGES)
    assert (again.status, again.changed) == (0, {}), again.output


def certificate(fleet: LabFleet) -> bytes:
    """The certificate that Redis has on disk."""
    return bytes(fleet.host("db1").file("/etc/redis/tls/certificate.pem").content)
