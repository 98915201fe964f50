#!/usr/bin/python
"""Ask a BigBlueButton node's API as the balancer will."""

import email.utils
import hashlib
import http.client
import socket
import ssl
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: bbb_api_probe
short_description: Ask a BigBlueButton node's API as the balancer will
description:
  - Calls index, then getMeetings signed with each digest, and reports what was found. It never fails on what a node
    answers, so that one run names every node's trouble.
  - A task that calls this needs no C(no_log) of its own arguments; the secret is never returned.
options:
  url:
    description: Base of the node's API, such as C(https://bbb1.example.org/bigbluebutton/api).
    type: str
    required: true
  secret:
    description: The node's shared secret.
    type: str
    required: true
  ca_certificate:
    description: PEM of the private authorities that signed the node's certificate; empty for the system's.
    type: str
    default: ""
  timeout:
    description: Seconds for one call.
    type: float
    default: 10.0
author: ["The bbb-fleet authors"]
"""

EXAMPLES = r"""
- name: Ask the node
  bbb_api_probe:
    url: https://bbb1.example.org/bigbluebutton/api
    secret: "{{ bbb_node_secret }}"
"""

RETURN = r"""
problem:
  description: What failed (C(dns connect tls http xml checksum)), nothing if the secret was accepted.
  type: str
  returned: always
detail:
  description: The failure in words.
  type: str
  returned: always
algorithms:
  description: Digests under which the node accepted the secret.
  type: list
  returned: always
version:
  description: The API version that the node's index names.
  type: str
  returned: always
tls_key:
  description: SHA-256 of the certificate that the node showed, empty without TLS.
  type: str
  returned: always
clock_offset:
  description: Seconds that the node's clock is ahead of this host's by its Date header; none without one.
  type: float
  returned: always
"""

#: The digests that BigBlueButton knows, by name.
ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")
#: An answer to getMeetings of a full node is well below this.
LONGEST_ANSWER = 32 * 1024 * 1024


class ProbeError(Exception):
    """One call failed; the first argument is the kind of failure, the second says it in words."""


class Node:
    """One node's API, and what its answers showed of it."""

    def __init__(self, url, ca_certificate, timeout):
        self.parts = urllib.parse.urlsplit(url.rstrip("/"))
        self.timeout = timeout
        self.context = ssl.create_default_context(cadata=ca_certificate or None)
        self.tls_key = ""
        self.clock_offset = None

    def connection(self):
        """Return a connection that is not open yet."""
        host, port = self.parts.hostname, self.parts.port
        if self.parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self.timeout, context=self.context)
        return http.client.HTTPConnection(host, port, timeout=self.timeout)

    def call(self, path):
        """Return the root element of one answer. Raises ProbeError."""
        connection = self.connection()
        try:
            connection.connect()
            if self.parts.scheme == "https":
                self.tls_key = hashlib.sha256(connection.sock.getpeercert(binary_form=True)).hexdigest()
            connection.request("GET", self.parts.path + path, headers={"Accept": "text/xml"})
            answer = connection.getresponse()
            body = answer.read(LONGEST_ANSWER)
        except socket.gaierror as error:
            raise ProbeError("dns", f"{self.parts.hostname} cannot be resolved: {error.strerror}") from error
        except ssl.SSLError as error:
            raise ProbeError(
                "tls", f"{self.parts.hostname}: {getattr(error, 'verify_message', '') or error}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise ProbeError("connect", f"{self.parts.netloc}: {error}") from error
        finally:
            connection.close()
        self.note_clock(answer.getheader("Date"))
        return parse(answer.status, body)

    def note_clock(self, date):
        """Keep how far the Date header is from this host's clock."""
        if date:
            # The header has whole seconds, so on average half of one is missing.
            self.clock_offset = email.utils.parsedate_to_datetime(date).timestamp() + 0.5 - time.time()

    def accepts(self, secret, algorithm):
        """Tell whether the node takes a getMeetings signed so. Raises ProbeError."""
        checksum = hashlib.new(algorithm, f"getMeetings{secret}".encode()).hexdigest()
        return self.call(f"/getMeetings?checksum={checksum}").findtext("returncode") == "SUCCESS"


def parse(status, body):
    """Return the root element of an answer. Raises ProbeError."""
    if status != 200:
        raise ProbeError("http", f"status {status}; is the URL right?")
    # A document type is never part of BBB's answers; it is what entity bombs are made of.
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise ProbeError("xml", "the answer is a document of another kind; is the URL right?")
    try:
        return ElementTree.fromstring(body)  # noqa: S314 - entities were refused above
    except ElementTree.ParseError as error:
        raise ProbeError("xml", f"the answer is no XML ({error}); is the URL right?") from error


def probe(node, secret):
    """Return what a node's answers show."""
    found = {"problem": "", "detail": "", "algorithms": [], "version": ""}
    try:
        index = node.call("")
        found["version"] = index.findtext("apiVersion") or index.findtext("version") or ""
        found["algorithms"] = [name for name in ALGORITHMS if node.accepts(secret, name)]
        if not found["algorithms"]:
            found.update(problem="checksum", detail="the node refuses its secret under every digest")
    except ProbeError as error:
        found.update(problem=error.args[0], detail=error.args[1])
    return dict(found, tls_key=node.tls_key, clock_offset=node.clock_offset)


def main():
    """Run as Ansible's module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "secret": {"type": "str", "required": True, "no_log": True},
            "ca_certificate": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 10.0},
        },
        supports_check_mode=True,
    )
    node = Node(module.params["url"], module.params["ca_certificate"], module.params["timeout"])
    module.exit_json(changed=False, **probe(node, module.params["secret"]))


if __name__ == "__main__":
    main()
