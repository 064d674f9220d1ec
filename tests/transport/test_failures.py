"""Foreign exceptions and what they mean."""

from __future__ import annotations

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
    ],
)
def test_the_most_specific_row_decides(
    error: Exception, kind: type[Exception], words: str
) -> None:
    mapped = failures.mapped(error, provider="acme", host="h", first=True)

    assert type(mapped) is kind
    assert words in str(mapped)
    assert str(mapped).startswith("acme (h) ")


@pytest.mark.parametrize(
    ("error", "unheard"),
    [
        (aiohttp.ClientConnectorDNSError(HERE, OSError(2, "no")), True),
        (aiohttp.ClientConnectorCertificateError(HERE, ssl.CertificateError()), True),
        (aiohttp.ClientConnectorSSLError(HERE, ssl.SSLError(1, "no")), True),
        (aiohttp.ClientProxyConnectionError(HERE, OSError(2, "no")), True),
        (aiohttp.ClientHttpProxyError(ASKED, (), status=403), True),
        (aiohttp.ClientConnectorError(HERE, OSError(2, "no")), True),
        (aiohttp.SocketTimeoutError(), False),
        (aiohttp.ServerDisconnectedError(), False),
        (aiohttp.ClientOSError(104, "reset"), False),
        (aiohttp.ClientPayloadError(), False),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
        (ssl.SSLError(1, "no"), False),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_only_without_a_connection_on_the_first_hop_a_call_never_left(
    *, error: Exception, unheard: bool, first: bool
) -> None:
    mapped = failures.mapped(error, provider="acme", host="h", first=first)

    assert isinstance(mapped, ProviderUnavailableError)
    assert mapped.never_left is (unheard and first)


def test_a_cause_that_tells_a_query_is_not_chained() -> None:
    telling = aiohttp.InvalidURL("https://h/?key=1")
    harmless = OSError("no route")

    assert failures.chained(telling) is None
    assert failures.chained(harmless) is harmless
