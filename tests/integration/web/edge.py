"""nginx in front of gunicorn: the role's own configuration, on a port of the test's own and without TLS."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from lab.sandbox import free_ports
from lab.services import Process

PROJECT = Path(__file__).parents[3]
ROLE = PROJECT / "roles/nginx"
PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars_files: ["{role}/defaults/main.yml", "{role}/vars/main.yml"]
  tasks:
    - ansible.builtin.template:
        src: "{role}/templates/etc/nginx/nginx.conf.j2"
        dest: "{directory}/nginx.conf"
"""


@dataclass(frozen=True)
class Edge:
    """A running nginx."""

    origin: str
    process: Process

    def workers(self) -> set[int]:
        """Process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}


@contextmanager
def edge(upstream: str, directory: Path) -> Iterator[Edge]:
    """nginx with ``upstream`` as its one balancer."""
    (port,) = free_ports(1)
    configuration = _rendered(upstream, directory)
    configuration.write_text(_on_port(configuration.read_text(), port, directory))
    options = f"daemon off; user {directory.owner()} {directory.group()};"
    process = Process("nginx", ["nginx", "-c", str(configuration), "-g", options], directory / "nginx.log")
    found = Edge(f"http://127.0.0.1:{port}", process)
    try:
        process.wait_until(lambda: _answers(found))
        yield found
    finally:
        process.stop()


def _rendered(upstream: str, directory: Path) -> Path:
    (directory / "play.yml").write_text(PLAYBOOK.format(role=ROLE, directory=directory))
    variables = {
        "ansible_python_interpreter": sys.executable,
        "inventory_hostname": "localhost",
        "nginx_server_name": "localhost",
        "nginx_upstreams": [upstream],
        "nginx_hsts_max_age": 0,
        "nginx_acme_directory": f"{directory}/acme",
        "__nginx_has_ipv6": False,
        "__nginx_recordings_socket": f"{directory}/recordings.sock",
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", str(directory / "play.yml")]
    subprocess.run([*command, "-e", json.dumps(variables)], check=True, cwd=PROJECT, capture_output=True)
    return directory / "nginx.conf"


def _on_port(configuration: str, port: int, directory: Path) -> str:
    """What a test needs to be otherwise: ports, TLS, and the places of pid and logs."""
    for pattern, instead in (
        (r"listen 80 [^;]*;", f"listen unix:{directory}/plain.sock;"),
        (r"listen 443 ssl", f"listen 127.0.0.1:{port}"),
        (r"\n *ssl_certificate(_key)? [^;]*;", ""),
        (r"\nuser [^;]*;", ""),
        (r"/run/nginx\.pid", f"{directory}/nginx.pid"),
        (r"/var/log/nginx/", f"{directory}/"),
    ):
        configuration, times = re.subn(pattern, instead, configuration)
        assert times, f"{pattern} is not in the role's template"
    return configuration


def _answers(found: Edge) -> bool:
    try:
        return requests.get(f"{found.origin}/bigbluebutton/api", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False
