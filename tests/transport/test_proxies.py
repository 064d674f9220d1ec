"""Which proxy a WebSocket goes through."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from ingestion_server.domain.errors import ProviderUnavailableError
from ingestion_server.transport.proxies import proxy_for

WSS = "wss://ws.acme.test/?key=1"
WS = "ws://ws.acme.test/"


def proxy(url: str) -> str | None:
    """Ask for Acme."""
    return proxy_for(urlsplit(url), provider="acme", name="acme (ws.acme.test)")


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("wss", "ws", "socks", "https", "http", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "named", "expected"),
    [
        (WSS, {}, None),
        (WSS, {"https_proxy": "http://p:1"}, "http://p:1"),
        (WSS, {"HTTPS_PROXY": "https://me:x@p:1/"}, "https://me:x@p:1/"),
        (WSS, {"http_proxy": "http://p:1"}, None),
        (WSS, {"https_proxy": "http://p:1", "wss_proxy": "http://q:2"}, "http://q:2"),
        (WS, {"http_proxy": "http://p:1"}, "http://p:1"),
        (WS, {"http_proxy": "http://p:1", "https_proxy": "http://q"}, "http://q"),
        (WS, {"http_proxy": "http://p:1", "ws_proxy": "http://q"}, "http://q"),
        (WSS, {"https_proxy": "http://p:1", "no_proxy": "acme.test"}, None),
        (WSS, {"https_proxy": "http://p:1", "no_proxy": "ws.acme.test:443"}, None),
        (WS, {"http_proxy": "http://p:1", "no_proxy": "ws.acme.test:80"}, None),
    ],
)
def test_the_environment_names_it(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    named: dict[str, str],
    expected: str | None,
) -> None:
    for name, value in named.items():
        monkeypatch.setenv(name, value)

    assert proxy(url) == expected


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("https_proxy", "socks5h://p:1", "SOCKS"),
        ("https_proxy", "SOCKS4://p:1", "SOCKS"),
        ("socks_proxy", "http://p:1", "SOCKS"),
        ("https_proxy", "gopher://p:1", "no url"),
        ("https_proxy", "p:1", "no url"),
        ("https_proxy", "http://p:many", "no url"),
        ("https_proxy", "http://[p", "no url"),
        ("https_proxy", "http://", "no url"),
        ("https_proxy", "http://p/path", "no url"),
        ("https_proxy", "http://p?query", "no url"),
        ("https_proxy", "http://p#fragment", "no url"),
    ],
)
def test_one_that_cannot_be_used_is_a_refusal_that_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ProviderUnavailableError, match=words) as caught:
        proxy(WSS)

    assert str(caught.value).startswith("acme (ws.acme.test) cannot be reached: ")
    assert value not in str(caught.value)
