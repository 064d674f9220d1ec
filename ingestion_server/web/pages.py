"""The console: a page of files that lie in this package, held in memory."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final

import msgspec
from aiohttp import web

from ingestion_server.ports.rpc import RpcFailedError
from ingestion_server.web.connect import refused
from ingestion_server.web.guard import Guard

_FOLDER: Final = "console"
_INDEX: Final = "index.html"
OPERATOR: Final = "/console/operator"
"""Answers 204 to operators, so that a wrong token is told when it is typed in."""
_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".mjs": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
    }
)
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Page(msgspec.Struct, frozen=True):
    """Hold one file as it is sent."""

    content_type: str
    tag: str
    body: bytes
    packed: bytes
    """The same with gzip."""


def read_pages() -> Mapping[str, Page]:
    """Read every file of the page, by its path; that blocks for a moment."""
    found = {
        f"/{_FOLDER}/{file.name}": _page(file.name, file.read_bytes())
        for file in (resources.files(__package__) / _FOLDER).iterdir()
        if file.is_file()
    }
    found["/"] = found.pop(f"/{_FOLDER}/{_INDEX}")
    return MappingProxyType(found)


def routes(pages: Mapping[str, Page], guard: Guard) -> list[web.RouteDef]:
    """Return the files that browsers may have, and no path that leads elsewhere."""

    async def send(request: web.Request) -> web.Response:
        """Send a file, unless the browser has it."""
        try:
            guard.check_origin(request)
        except RpcFailedError as error:
            return refused(error)
        page = pages[request.path]
        headers = {
            "Content-Security-Policy": _POLICY,
            "Content-Type": page.content_type,
            # Kept, and asked for again each time: an upgrade is seen at once.
            "Cache-Control": "no-cache",
            "ETag": f'"{page.tag}"',
            "Vary": "Accept-Encoding",
        }
        if page.tag in (tag.value for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return web.Response(body=page.packed, headers=headers)
        return web.Response(body=page.body, headers=headers)

    async def operator(request: web.Request) -> web.Response:
        """Say whether who asks is an operator."""
        try:
            guard.check_origin(request)
            guard.check_operator(request, "this")
        except RpcFailedError as error:
            return refused(error)
        return web.Response(status=204)

    return [*(web.get(path, send) for path in pages), web.get(OPERATOR, operator)]


def _page(name: str, body: bytes) -> Page:
    ending = name[name.rfind(".") :]
    return Page(
        _TYPES.get(ending, _TYPES[".txt"]),
        hashlib.sha256(body).hexdigest()[:16],
        body,
        gzip.compress(body, 6, mtime=0),
    )
