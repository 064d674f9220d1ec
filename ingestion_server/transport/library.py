"""The index of a folder of recordings: who answered what, for which time, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final
from urllib.parse import urlsplit

import msgspec

from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.provider import Identity, Provider
from ingestion_server.transport import envelope, shelf

_OK: Final = range(200, 300)
_BARE: Final = ("", 200)
"""What is known of a file that neither envelope nor manifest describes."""

# What a provider's readers may say of bytes that nobody wrote for them.
_UNREADABLE: Final = (
    ArithmeticError,
    LookupError,
    OSError,
    ProviderError,
    RecursionError,
    ValueError,
    msgspec.MsgspecError,
)


@final
@dataclass(frozen=True, slots=True)
class Recording:
    """Know one recorded answer without holding its body."""

    provider: str
    body: Path
    envelope: Path | None
    url: str
    """Empty if nothing tells it."""
    status: int
    identity: Identity
    span: Span | None
    """The time that its bars cover; None if it has none."""
    recorded_ns: int

    def load(self) -> HttpResponse:
        """
        Read the answer.

        Raises:
            OSError: It is not there any more.
            msgspec.MsgspecError: Its envelope is none any more.

        """
        headers: Mapping[str, str] = {}
        if self.envelope is not None:
            headers = envelope.decoded(self.envelope.read_bytes()).flat_headers()
        return HttpResponse(
            status=self.status,
            body=shelf.content(self.body),
            headers=headers,
            received_at_ns=self.recorded_ns,
            url=self.url,
        )


def closest(recordings: Sequence[Recording], asked: Span | None) -> Recording | None:
    """
    Return the recording that covers most of the asked time; None of none.

    Who asks for no time wants all there is, so the longest answers. Where none
    covers any of it, the nearest in time; among equals the latest. A recording
    without a time (a complaint, say) is the last resort.
    """

    def rank(recording: Recording) -> tuple[bool, bool, int, int, str]:
        overlap = 0
        if recording.span is not None:
            wanted = asked or recording.span
            start = max(recording.span.start_ns, wanted.start_ns)
            # Below zero it is the distance, with its sign turned.
            overlap = min(recording.span.end_ns, wanted.end_ns) - start
        return (
            recording.span is not None,
            recording.status in _OK,
            overlap,
            recording.recorded_ns,
            str(recording.body),
        )

    return max(recordings, key=rank, default=None)


@final
class Library:
    """Find recordings by what they are of."""

    def __init__(
        self, folder: Path, recordings: Sequence[Recording], unused: int
    ) -> None:
        self.folder = folder
        self.unused = unused
        """How many files hold no answer of any vendor."""
        self.size = len(recordings)
        self._shelves: dict[
            tuple[str, frozenset[tuple[str, str]]], list[Recording]
        ] = {}
        for recording in recordings:
            key = recording.provider, recording.identity.resource
            self._shelves.setdefault(key, []).append(recording)

    def of_resource(self, provider: str, identity: Identity) -> Sequence[Recording]:
        """Return those of the same resource, of whatever time."""
        return self._shelves.get((provider, identity.resource), ())

    def of(self, provider: str, identity: Identity) -> Sequence[Recording]:
        """Return those that could be the answer."""
        found = self.of_resource(provider, identity)
        return [r for r in found if r.identity.window == identity.window]


def index(folder: Path, providers: Sequence[Provider]) -> Library:
    """
    Read a folder, and all that is below it; takes a while.

    Raises:
        ReplayError: It is no folder, or holds nothing that a provider can read.

    """
    if not folder.is_dir():
        raise shelf.ReplayError(f"cannot replay {folder}: there is no such folder")
    try:
        origins = shelf.manifest(folder)
        recordings, unused = list[Recording](), 0
        for path in shelf.bodies(folder):
            recording = _recording(path, folder, origins, providers)
            if recording is None:
                unused += 1
            else:
                recordings.append(recording)
    except OSError as error:
        raise shelf.ReplayError(f"cannot replay {folder}: {error.strerror}") from error
    if not recordings:
        raise shelf.ReplayError(
            f"cannot replay {folder}: none of its {unused} files holds an answer of "
            f"{', '.join(provider.name for provider in providers) or 'any vendor'}"
        )
    return Library(folder, recordings, unused)


def _recording(
    path: Path,
    folder: Path,
    origins: Mapping[str, tuple[str, int]],
    providers: Sequence[Provider],
) -> Recording | None:
    """Understand one file; None if it holds no answer."""
    try:
        body = shelf.content(path)
        beside = shelf.envelope_of(path, folder)
        if beside is not None:
            facts = envelope.decoded(beside.read_bytes())
        else:
            name = shelf.name_of(path, folder)
            url, status = origins.get(
                name, origins.get(name.removesuffix(".gz"), _BARE)
            )
            facts = envelope.Envelope(status=status, url=url)
        for provider in _possible(facts.url, providers):
            identity = provider.identity(facts.url, body)
            if identity is None:
                continue
            span = provider.body_span(facts.url, body)
            recorded_ns = facts.recorded_ns()
            if recorded_ns is None:
                recorded_ns = _not_before(provider, body, span, path)
            return Recording(
                provider=provider.name,
                body=path,
                envelope=beside,
                url=facts.url,
                status=facts.status,
                identity=identity,
                span=span,
                recorded_ns=recorded_ns,
            )
    except _UNREADABLE:
        return None
    return None


def _not_before(provider: Provider, body: bytes, span: Span | None, path: Path) -> int:
    """Return what comes closest to the time of a recording that lacks it."""
    told_ns = provider.told_at_ns(body)
    if told_ns is not None:
        return told_ns
    return span.end_ns if span else path.stat().st_mtime_ns


def _possible(url: str, providers: Sequence[Provider]) -> Sequence[Provider]:
    """Return those whose host it is; all of them if nothing tells."""
    if not url:
        return providers
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        return ()
    return [provider for provider in providers if parts.hostname in provider.hosts]
