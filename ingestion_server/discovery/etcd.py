"""
What is asked of an etcd, and what it answers, over its JSON gateway.

The entry has the layout that etcd's own resolver for gRPC reads
(``go.etcd.io/etcd/client/v3/naming``): ``SERVICE/ADDRESS`` is an update in JSON.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

import msgspec

FAILED_PRECONDITION: Final = 9
UNAUTHENTICATED: Final = 16
_NOT_FOUND: Final = 5
_PASSING: Final = frozenset({2, 4, 13, 14})
"""UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE: another may do better."""
_ADD: Final = 0
# A deep nesting ends in RecursionError.
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
_SERVER_ERROR: Final = 500

T = TypeVar("T")
Metadata = Mapping[str, str | int]


class EtcdError(Exception):
    """Say what went wrong; ``reason`` is one word for it."""

    reason = "failed"


class EtcdUnavailableError(EtcdError):
    """Cannot be reached, does not answer in time, or cannot do its work now."""

    reason = "unavailable"


class EtcdMalformedError(EtcdError):
    """Answers what cannot be read."""

    reason = "malformed"


class EtcdRefusedError(EtcdError):
    """Will not do what it is asked."""

    reason = "refused"

    def __init__(self, message: str, code: int) -> None:
        """Keep the number of gRPC's code."""
        super().__init__(message)
        self.code = code


class LeaseLostError(EtcdError):
    """Knows nothing of the lease."""

    reason = "lease_lost"


class EntryLostError(EtcdError):
    """Has kept the lease, and not what hung on it."""

    reason = "entry_lost"


REASONS: Final = tuple(
    kind.reason
    for kind in (
        EtcdUnavailableError,
        EtcdMalformedError,
        EtcdRefusedError,
        LeaseLostError,
        EntryLostError,
        EtcdError,
    )
)
"""All that can go wrong; ``failed`` is a mistake of our own."""


class Ask(msgspec.Struct, Generic[T], frozen=True):
    """Be one question, and how its answer is read."""

    path: str
    body: bytes
    read: Callable[[bytes], T]
    """Raises ``EtcdError``."""


class Entry(msgspec.Struct, frozen=True):
    """Be what is written for a server."""

    key: str
    value: str


class Lease(msgspec.Struct, frozen=True):
    """Be what keeps an entry alive."""

    id: int
    seconds: int
    """How long it lives from when it was asked for, or kept alive."""


class _Granted(msgspec.Struct):
    ID: int
    TTL: int


class _KeptAlive(msgspec.Struct):
    TTL: int = 0


class _Streamed(msgspec.Struct):
    result: _KeptAlive | None = None
    error: msgspec.Raw = msgspec.Raw()


class _Authenticated(msgspec.Struct):
    token: str


class _Held(msgspec.Struct):
    header: dict[str, object]
    succeeded: bool = False


class _Done(msgspec.Struct):
    header: dict[str, object]


class _Complaint(msgspec.Struct):
    message: str
    code: int = 2
    grpc_code: int | None = None
    """What streams call it."""


def entry(service: str, address: str, metadata: Metadata) -> Entry:
    """Return the entry of a server; ``address`` is HOST:PORT."""
    update = {"Op": _ADD, "Addr": address, "Metadata": metadata}
    return Entry(f"{service}/{address}", json.dumps(update, separators=(",", ":")))


def authenticate(user: str, password: str) -> Ask[str]:
    """Ask for the token that is shown with every other question."""
    return _ask("auth/authenticate", {"name": user, "password": password}, _token)


def grant(seconds: int) -> Ask[Lease]:
    """Ask for a lease that lives so long without being kept alive."""
    return _ask("lease/grant", {"TTL": str(seconds)}, _granted)


def keep_alive(lease: int) -> Ask[int]:
    """Ask for more time; the answer is how many seconds there are now."""
    return _ask("lease/keepalive", {"ID": str(lease)}, _seconds_left)


def hold(lease: int, wanted: Entry) -> Ask[bool]:
    """
    Ask that the entry hangs on this lease; the answer is whether it did already.

    One question for both, so that nobody who watches is woken by what has not changed.
    """
    key = _base64(wanted.key)
    put = {"key": key, "value": _base64(wanted.value), "lease": str(lease)}
    same = {"key": key, "target": "LEASE", "result": "EQUAL", "lease": str(lease)}
    return _ask("kv/txn", {"compare": [same], "failure": [{"requestPut": put}]}, _held)


def revoke(lease: int) -> Ask[None]:
    """Ask that the lease ends, and with it the entry."""
    return _ask("lease/revoke", {"ID": str(lease)}, _done)


def refusal(status: int, body: bytes) -> EtcdError:
    """Return what an answer other than 200 means, in its words, in one line."""
    try:
        complaint = msgspec.json.decode(body, type=_Complaint)
    except _UNREADABLE:
        return EtcdMalformedError(f"answered HTTP {status}, not as an etcd would")
    return _meant(complaint, status)


def _meant(complaint: _Complaint, status: int) -> EtcdError:
    told = "".join(c if c.isprintable() else " " for c in complaint.message)
    code = complaint.code if complaint.grpc_code is None else complaint.grpc_code
    if status >= _SERVER_ERROR or code in _PASSING:
        return EtcdUnavailableError(told)
    if code == _NOT_FOUND:
        # Nothing else that is asked for can be missing.
        return LeaseLostError(told)
    return EtcdRefusedError(told, code)


def _token(body: bytes) -> str:
    token = _read(body, _Authenticated).token
    # It becomes a header.
    if not token or not token.isascii() or not token.isprintable():
        raise EtcdMalformedError("gave a token that is none")
    return token


def _granted(body: bytes) -> Lease:
    granted = _read(body, _Granted)
    if granted.ID <= 0 or granted.TTL <= 0:
        raise EtcdMalformedError("granted a lease that is none")
    return Lease(granted.ID, granted.TTL)


def _seconds_left(body: bytes) -> int:
    streamed = _read(body, _Streamed)
    if streamed.result is None:
        # A stream has begun with 200 before it fails.
        raise refusal(200, bytes(streamed.error))
    if streamed.result.TTL <= 0:
        raise LeaseLostError("the lease has ended")
    return streamed.result.TTL


def _held(body: bytes) -> bool:
    return _read(body, _Held).succeeded


def _done(body: bytes) -> None:
    _read(body, _Done)


def _read(body: bytes, kind: type[T]) -> T:
    try:
        # Numbers of 64 bits are texts in JSON.
        return msgspec.json.decode(body, type=kind, strict=False)
    except _UNREADABLE as error:
        raise EtcdMalformedError("answered what an etcd would not") from error


def _ask(path: str, question: object, read: Callable[[bytes], T]) -> Ask[T]:
    return Ask(f"/v3/{path}", msgspec.json.encode(question), read)


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")
