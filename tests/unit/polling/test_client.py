"""Every way in which HTTP fails has its reason, and no error text contains the signed URL."""

import ssl
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from balancer.errors import NodeError, NodeTimeoutError, NodeUnreachableError
from balancer.polling.client import as_node_error

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
    converted = as_node_error(error)
    assert type(converted) is kind
    assert converted.reason == reason
    assert "checksum" not in str(converted)
    assert "bbb1.example.org" not in str(converted)
