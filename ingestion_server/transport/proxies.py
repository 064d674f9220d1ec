"""Which proxy the environment names for a WebSocket; aiohttp asks for HTTP only."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from ingestion_server.domain.errors import ProviderUnavailableError

# A proxy for TLS tunnels whatever it is told; one for HTTP may not.
_NAMED: Final = {
    "wss": ("wss", "socks", "https"),
    "ws": ("ws", "socks", "https", "http"),
}
_PORTS: Final = {"wss": 443, "ws": 80}


def proxy_for(address: SplitResult, *, provider: str, name: str) -> str | None:
    """
    Return the url of the proxy to dial through; None to dial without.

    Raises:
        ProviderUnavailableError: The environment names one that cannot be used.

    """
    port = address.port or _PORTS[address.scheme]
    if proxy_bypass(f"{address.hostname}:{port}"):
        return None
    named = getproxies()
    for scheme in _NAMED[address.scheme]:
        url = named.get(scheme)
        if url is None:
            continue
        if scheme == "socks" or url.lower().startswith("socks"):
            flaw = "a SOCKS proxy is not supported"
        elif not _is_usable(url):
            flaw = "the proxy's address is no url"
        else:
            return url
        raise ProviderUnavailableError(
            f"{name} cannot be reached: {flaw}", provider=provider
        )
    return None


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is no number
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and parts.hostname is not None
        and parts.path in {"", "/"}
        and not parts.query
        and not parts.fragment
    )
