"""Every way in which HTTP fails has its reason, and no text repeats the signed URL."""

import ssl
from types import SimpleNamespace
from typing import Any, cast
from xml.etree.ElementTree import Element

import aiohttp
import pytest

from balancer.core.node_call import Answer
from balancer.errors import NodeError, NodeTimeoutError, NodeUnreachableError
from balancer.polling.client import as_ours, refused

KEY = cast(Any, SimpleNamespace(host="bbb1.example.org", port=443, ssl=True, is_ssl=True))
OS_ERROR = OSError(111, "Connection refused")


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (aiohttp.ClientConnectorDNSError(KEY, OS_ERROR), NodeUnreachableError, "dns"),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("expired")),
            NodeUnreachableError,
            "tls",
        ),
        (aiohttp.ClientConnectorSSLError(KEY, OS_ERROR), NodeUnreachableError, "tls"),
        (aiohttp.ClientConnectorError(KEY, OS_ERROR), NodeUnreachableError, "connect"),
        (aiohttp.ConnectionTimeoutError(), NodeUnreachableError, "connect"),
        (aiohttp.SocketTimeoutError(), NodeTimeoutError, "slow"),
        (aiohttp.ServerTimeoutError(), NodeTimeoutError, "slow"),
        (TimeoutError(), NodeTimeoutError, "slow"),
        (aiohttp.ServerDisconnectedError(), NodeError, "connect"),
        (aiohttp.ClientOSError(104, "reset"), NodeError, "connect"),
        (ConnectionResetError(), NodeError, "connect"),
        (aiohttp.ClientPayloadError("not enough"), NodeError, "http"),
        (aiohttp.InvalidURL("https://x/getMeetings?checksum=abc"), NodeError, "http"),
    ],
)
def test_each_failure_has_its_type_and_reason(error: Exception, kind: type[NodeError], reason: str) -> None:
    ours = as_ours(error)
    assert type(ours) is kind
    assert ours.reason == reason
    assert "checksum" not in str(ours)
    assert "bbb1.example.org" not in str(ours)


@pytest.mark.parametrize(("key", "reason"), [("checksumError", "checksum"), ("noSuchCall", "http"), ("", "http")])
def test_a_refusal_tells_a_wrong_secret_from_the_rest(key: str, reason: str) -> None:
    answer = Answer(success=False, message_key=key, message="", root=Element("response"), body=b"")
    assert refused("getMeetings", answer).reason == reason
