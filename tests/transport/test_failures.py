"""Foreign exceptions and what they mean."""

from __future__ import annotations

import socket
import ssl
import zlib

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    ProviderUnavailableError,
)
from ingestion_server.transport import failures

ASKED = aiohttp.RequestInfo(
    URL("https://h"), "CONNECT", CIMultiDictProxy(CIMultiDict())
)
HERE = ConnectionKey("h", 443, True, True, None, None, None)  # noqa: FBT003


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (aiohttp.InvalidURL("x"), MalformedPayloadError, "no url"),
        (
            aiohttp.ClientConnectorDNSError(HERE, OSError(2, "no")),
            ProviderUnavailableError,
            "name is not known",
        ),
        (
            aiohttp.ClientConnectorCertificateError(HERE, ssl.CertificateError()),
            ProviderUnavailableError,
            "certificate",
        ),
        (
            aiohttp.ClientConnectorSSLError(HERE, ssl.SSLError(1, "no")),
            ProviderUnavailableError,
            "TLS",
        ),
        (
            aiohttp.ClientProxyConnectionError(HERE, OSError(2, "no")),
            ProviderUnavailableError,
            "proxy does not answer",
        ),
        (
            aiohttp.ClientConnectorError(HERE, OSError(2, "no")),
            ProviderUnavailableError,
            "cannot be reached",
        ),
        (aiohttp.SocketTimeoutError(), ProviderUnavailableError, "in time"),
        (aiohttp.ServerDisconnectedError(), ProviderUnavailableError, "cut"),
        (ConnectionResetError(), ProviderUnavailableError, "cannot be reached"),
        (TimeoutError(), ProviderUnavailableError, "in time"),
        (zlib.error("x"), MalformedPayloadError, "not encoded"),
        (ValueError("a header"), MalformedPayloadError, "cannot carry"),
        (ssl.SSLError(1, "no"), ProviderUnavailableError, "TLS"),
        (
            ssl.SSLCertVerificationError(1, "no"),
            ProviderUnavailableError,
            "certificate",
        ),
        (socket.gaierror(-2, "no"), ProviderUnavailableError, "name is not known"),
        (
            aiohttp.WSServerHandshakeError(ASKED, (), status=101),
            ProviderUnavailableError,
            "agree to a WebSocket",
        ),
        (
            aiohttp.ClientHttpProxyError(ASKED, (), status=407),
            ProviderUnavailableError,
            "proxy refused",
        ),
    ],
)
def test_the_most_specific_row_decides(
    error: Exception, kind: type[Exception], words: str
) -> None:
    mapped = failures.mapped(error, provider="acme", host="h")

    assert type(mapped) is kind
    assert words in str(mapped)
    assert str(mapped).startswith("acme (h) ")


def test_a_cause_that_tells_a_query_is_not_chained() -> None:
    telling = aiohttp.InvalidURL("https://h/?key=1")
    harmless = OSError("no route")

    assert failures.chained(telling) is None
    assert failures.chained(harmless) is harmless


@pytest.mark.parametrize("text", ["no HTTP: k3y", "https://h/?key=1"])
def test_a_cause_that_comes_from_what_tells_a_secret_is_not_chained(text: str) -> None:
    harmless = OSError("no route")
    harmless.__cause__ = ValueError(text)

    def blank(told: str) -> str:
        return told.replace("k3y", "***")

    assert failures.chained(harmless, blank) is None
