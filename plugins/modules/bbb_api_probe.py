#!/usr/bin/python
"""Call a BigBlueButton node's API as the balancer does."""

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
short_description: Call a BigBlueButton node's API as the balancer does
description:
  - Calls index, then getMeetings signed with each checksum algorithm, and reports the results. It never fails because
    of a node's answer, so that one run reports the problems of all nodes.
  - A task that calls this needs no C(no_log), because the secret is never returned.
options:
  url:
    description: Base URL of the node's API, such as C(https://bbb1.example.org/bigbluebutton/api).
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
    description: Timeout of one call in seconds.
    type: float
    default: 10.0
author: ["The bbb-fleet authors"]
"""

EXAMPLES = r"""
- name: Call the node's API
  bbb_api_probe:
    url: https://bbb1.example.org/bigbluebutton/api
    secret: "{{ bbb_node_secret }}"
"""

RETURN = r"""
problem:
  description: What failed (C(dns connect tls http xml checksum)); empty if the secret was accepted.
  type: str
  returned: always
detail:
  description: Message about the failure.
  type: str
  returned: always
algorithms:
  description: Checksum algorithms with which the node accepted the secret.
  type: list
  returned: always
version:
  description: The API version in the node's answer to index.
  type: str
  returned: always
tls_key:
  description: SHA-256 of the node's certificate; empty without TLS.
  type: str
  returned: always
clock_offset:
  description: Seconds that the node's clock is ahead of this host's, by its Date header; none without that header.
  type: float
  returned: always
"""

#: The checksum algorithms that BigBlueButton supports.
ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")
#: Bytes. The answer to getMeetings of a full node is far smaller.
ANSWER_LIMIT = 32 * 1024 * 1024


class ProbeError(Exception):
    """One call failed. The arguments are the kind of failure and a message."""


class Node:
    """One node's API, with the certificate and clock offset of its last answer."""

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
        """Call one path and return the answer's root element. Raises ProbeError."""
        connection = self.connection()
        try:
            connection.connect()
            if self.parts.scheme == "https":
                self.tls_key = hashlib.sha256(connection.sock.getpeercert(binary_form=True)).hexdigest()
            connection.request("GET", self.parts.path + path, headers={"Accept": "text/xml"})
            answer = connection.getresponse()
            body = answer.read(ANSWER_LIMIT)
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
        self.record_clock_offset(answer.getheader("Date"))
        return parse(answer.status, body)

    def record_clock_offset(self, date):
        """Store the difference between the Date header and this host's clock."""
        if date:
            # The header has whole seconds, so on average half a second is missing.
            self.clock_offset = email.utils.parsedate_to_datetime(date).timestamp() + 0.5 - time.time()

    def accepts(self, secret, algorithm):
        """Whether the node accepts a getMeetings that is signed with this algorithm. Raises ProbeError."""
        checksum = hashlib.new(algorithm, f"getMeetings{secret}".encode()).hexdigest()
        return self.call(f"/getMeetings?checksum={checksum}").findtext("returncode") == "SUCCESS"


def parse(status, body):
    """Return the root element of an answer. Raises ProbeError."""
    if status != 200:
        raise ProbeError("http", f"status {status}; is the URL correct?")
    # BBB's answers never have a document type, which could define entity bombs.
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise ProbeError("xml", "the answer has a document type; is the URL correct?")
    try:
        return ElementTree.fromstring(body)  # noqa: S314 - entities were refused above
    except ElementTree.ParseError as error:
        raise ProbeError("xml", f"the answer is not XML ({error}); is the URL correct?") from error


def probe(node, secret):
    """Return the module's result for a node."""
    result = {"problem": "", "detail": "", "algorithms": [], "version": ""}
    try:
        index = node.call("")
        result["version"] = index.findtext("apiVersion") or index.findtext("version") or ""
        result["algorithms"] = [name for name in ALGORITHMS if node.accepts(secret, name)]
        if not result["algorithms"]:
            result.update(problem="checksum", detail="the node refuses its secret with every checksum algorithm")
    except ProbeError as error:
        result.update(problem=error.args[0], detail=error.args[1])
    return dict(result, tls_key=node.tls_key, clock_offset=node.clock_offset)


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
