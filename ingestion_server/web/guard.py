"""Who may use the page and the calls behind it."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from ipaddress import ip_address
from typing import Final, final

from aiohttp import web

from ingestion_server.ports.rpc import Method, RpcFailedError

_LONGEST_SHOWN: Final = 80
_OTHER_SITES: Final = frozenset({"cross-site", "same-site"})


@final
class Guard:
    """Turn away who is none of ours."""

    def __init__(self, names: Collection[str], operator_token: str) -> None:
        """
        Set up.

        Args:
            names: what browsers may call this server, beside addresses and localhost.
            operator_token: what operators know; empty = there are none.

        """
        self._names = frozenset(name.lower() for name in names)
        self._token = operator_token.encode()

    def check_origin(self, request: web.Request) -> None:
        """
        Refuse pages of other sites.

        A site may point its own name at our address, and a browser then takes our
        answers for that site's: only the name it asked for gives that away.

        Raises:
            RpcFailedError: It is one.

        """
        host = _host(request.headers.get("Host", ""))
        if not (_is_local(host) or host in self._names):
            raise RpcFailedError(
                "permission_denied",
                f"{host[:_LONGEST_SHOWN]!r} is not a name of this server; "
                "if it should be, put it into http.names",
            )
        # A link may lead here from anywhere; a form sends no type that is a call's.
        follows = request.headers.get("Sec-Fetch-Mode") == "navigate"
        if not follows and request.headers.get("Sec-Fetch-Site") in _OTHER_SITES:
            raise RpcFailedError(
                "permission_denied", "pages of other sites may not call this server"
            )

    def check_method(self, request: web.Request, method: Method) -> None:
        """
        Refuse what changes something, unless an operator asks.

        Raises:
            RpcFailedError: It does, and nobody shows to be one.

        """
        if not method.only_reads:
            self.check_operator(request, method.name.rpartition(".")[2])

    def check_operator(self, request: web.Request, what: str) -> None:
        """
        Refuse who is no operator.

        Raises:
            RpcFailedError: Nobody can be one, or nobody shows to be.

        """
        if not self._token:
            raise RpcFailedError(
                "permission_denied",
                f"{what} is for operators, and this door knows none: set "
                "http.operator_token, or use the gRPC port",
            )
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(
            shown.strip().encode("utf-8", "surrogateescape"), self._token
        ):
            raise RpcFailedError(
                "unauthenticated",
                f"{what} is for operators: send Authorization: Bearer, with "
                "http.operator_token",
            )


def _host(header: str) -> str:
    """Return the name or address in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower().removesuffix(".")


def _is_local(host: str) -> bool:
    """Return whether no site can have made a name of its own of it."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
