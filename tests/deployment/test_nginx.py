"""The edge of a deployed cluster, as seen from outside with the lab's CA."""

import http.client
import json
import ssl
import subprocess
from dataclasses import dataclass

import pytest

from lab import state
from tests.deployed_cluster import DeployedCluster

pytestmark = pytest.mark.lab


@dataclass(frozen=True)
class Edge:
    """The edge host's address and public name."""

    address: str
    name: str
    ca_file: str

    def get(self, path: str, *, tls: bool = True, method: str = "GET", body: bytes = b"") -> http.client.HTTPResponse:
        port = 443 if tls else 80
        connection = http.client.HTTPConnection(self.address, port, timeout=30)
        connection.connect()
        if tls:
            context = ssl.create_default_context(cafile=self.ca_file)
            connection.sock = context.wrap_socket(connection.sock, server_hostname=self.name)
        connection.request(method, path, body=body, headers={"Host": self.name})
        response = connection.getresponse()
        response.text = response.read().decode()  # type: ignore[attr-defined]
        connection.close()
        return response


@pytest.fixture(scope="module")
def edge(cluster: DeployedCluster) -> Edge:
    lab = state.load(cluster.name)
    return Edge(lab.host("lb1").address, lab.public_host, str(cluster.directory / "ca.pem"))


def text(response: http.client.HTTPResponse) -> str:
    found: str = response.text  # type: ignore[attr-defined]
    return found


def test_the_api_answers_over_tls_with_a_valid_chain(edge: Edge) -> None:
    response = edge.get("/bigbluebutton/api")
    assert response.status == 200
    assert "<returncode>SUCCESS</returncode>" in text(response)


def test_http_is_redirected_with_its_query(edge: Edge) -> None:
    response = edge.get("/bigbluebutton/api?a=b%20c", tls=False)
    assert (response.status, response.headers["Location"]) == (301, f"https://{edge.name}/bigbluebutton/api?a=b%20c")


@pytest.mark.parametrize(("version", "spoken"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_old_tls_is_refused(edge: Edge, version: str, spoken: bool) -> None:
    # At the lowest security level this client refuses nothing, so a refusal is the server's.
    command = ["openssl", "s_client", "-connect", f"{edge.address}:443", version, "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode == 0) is spoken, done.stderr.decode()


@pytest.mark.parametrize("tls", [True, False])
def test_a_challenge_is_served_before_any_proxying(cluster: DeployedCluster, edge: Edge, tls: bool) -> None:
    path = "/var/www/acme/.well-known/acme-challenge/token"
    cluster.on("lb1", f"echo proof > {path}")
    try:
        response = edge.get("/.well-known/acme-challenge/token", tls=tls)
        assert (response.status, text(response)) == (200, "proof\n")
    finally:
        cluster.on("lb1", f"rm {path}")


@pytest.mark.parametrize(
    "path", ["/internal/playback", "//internal/playback", "/bigbluebutton/../%69nternal/playback", "/internal"]
)
def test_internal_paths_do_not_exist_outside(edge: Edge, path: str) -> None:
    assert edge.get(path).status == 404


def test_a_request_line_of_64_kb_passes_and_a_longer_one_gets_a_short_414(edge: Edge) -> None:
    assert edge.get("/bigbluebutton/api?x=" + "a" * 65_000).status == 200
    response = edge.get("/bigbluebutton/api?x=" + "a" * 66_000)
    assert response.status == 414
    assert len(text(response)) < 300


@pytest.mark.parametrize("old", ["2.0/playback.html", "playback.html", "0.9.0/playback.html"])
def test_old_addresses_of_recordings_still_lead_to_them(edge: Edge, old: str) -> None:
    response = edge.get(f"/playback/presentation/{old}?meetingId=abc-123")
    assert response.status == 301
    assert response.headers["Location"].endswith("/playback/presentation/2.3/abc-123")
    assert edge.get(f"/playback/presentation/{old}?meetingId=//elsewhere.example").status == 404


def test_an_lms_may_frame_pages_and_learns_little_from_them(edge: Edge) -> None:
    headers = edge.get("/bigbluebutton/api").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] is None
    assert "frame-ancestors" in headers["Content-Security-Policy"]


def test_no_log_holds_a_query(cluster: DeployedCluster, edge: Edge) -> None:
    edge.get("/bigbluebutton/api/getMeetings?checksum=never-in-a-log")
    logs = cluster.on("lb1", "cat /var/log/nginx/access.log /var/log/nginx/error.log")
    assert "/bigbluebutton/api/getMeetings" in logs
    assert "never-in-a-log" not in logs


def test_without_the_balancer_a_call_gets_bbbs_failure(cluster: DeployedCluster, edge: Edge) -> None:
    cluster.on("lb1", "systemctl stop balancer-web.socket balancer-web.service")
    try:
        response = edge.get("/bigbluebutton/api/getMeetings")
        assert response.status == 200
        assert "<returncode>FAILED</returncode>" in text(response)
        assert edge.get(f"/presentation/{'a' * 40}-1/metadata.xml").status == 503
    finally:
        cluster.on("lb1", "systemctl start balancer-web.socket balancer-web.service")


def test_the_recordings_nginx_is_a_service_of_its_own(cluster: DeployedCluster) -> None:
    shown = cluster.on("lb1", "systemctl show nginx-recordings.service --property=ActiveState,User,NoNewPrivileges")
    assert sorted(shown.split()) == ["ActiveState=active", "NoNewPrivileges=yes", "User=www-data"]
    ready = json.loads(cluster.on("lb1", "balancer database check --format json"))
    assert ready["current"]
