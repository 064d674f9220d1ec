"""One call and its reply as plain data: vendors here know no sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from ingestion_server.sandbox.faults import Fault

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"
TEXT: Final = "text/plain;charset=utf-8"


@dataclass(frozen=True, slots=True)
class Call:
    """Hold what a vendor may see of one HTTP request."""

    method: str
    path: str
    """Decoded, double slashes collapsed."""
    query: Mapping[str, str]
    form: Mapping[str, str]
    cookies: Mapping[str, str]
    client: str
    """The caller's address."""
    now_ns: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the request, by their names in any case."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold what goes back over the wire."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()
    sent_bytes: int | None = None
    """After so many the connection is closed; None = the body is sent whole."""
    brotli: bool = False
    """Whether the vendor compresses it for callers who can read that."""


class Vendor(Protocol):
    """One simulated vendor, sans-IO."""

    @property
    def name(self) -> str:
        """Return the vendor's id, for example ``yahoo``."""
        ...

    def scope(self, call: Call) -> str:
        """Return what kind of call it is, for faults that suit only some."""
        ...

    def counted_as(self, call: Call) -> str:
        """Return the function or path under which statistics count the call."""
        ...

    def symbols(self, call: Call) -> frozenset[str]:
        """Return the symbols of the call as the vendor spells them."""
        ...

    @property
    def zone(self) -> str:
        """Return the zone by whose dates calls are counted."""
        ...

    def metered_by(self, call: Call) -> str:
        """Return the key or address that the call is metered by; empty = by none."""
        ...

    def over_limit(self, call: Call) -> Reply | None:
        """Meter the call; return the refusal if it is one too many."""
        ...

    def refusal(self, fault: Fault, call: Call) -> Reply | None:
        """Return the body of a fault that replaces the answer."""
        ...

    async def answer(self, call: Call, faults: Sequence[Fault]) -> Reply:
        """Answer as the vendor would, with these faults in the data."""
        ...

    def forget_calls(self) -> None:
        """Empty the meters."""
        ...


def json_reply(document: object, *, status: int = 200, kind: str = JSON) -> Reply:
    """Return a document as a compact JSON body."""
    return Reply(msgspec.json.encode(document), status, kind)
