"""Which calls of vendors left on behalf of a piece of work, and how long they took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, final

import msgspec
from typing_extensions import override

from ingestion_server.ports.hooks import CallDetails, OnCall


class Metered(msgspec.Struct):
    """Count calls; it changes."""

    calls: int = 0
    seconds: float = 0.0
    """From leaving to being read, all calls together; waiting for quota is not in."""
    complaint: str = ""
    """What the last call that failed said."""


_metered: Final[ContextVar[Metered | None]] = ContextVar("metered", default=None)
"""What the running work is counted in; tasks that it starts have it, too."""


@final
class CallMeter(OnCall):
    """
    Hear every call of the server, and count those of a piece of work.

    An answer tells what was tried for it, but an error does not.
    """

    @override
    def __call__(self, details: CallDetails) -> None:
        """Count a call if it belongs to what is being metered."""
        metered = _metered.get()
        if metered is not None:
            metered.calls += 1
            metered.seconds += details.seconds
            metered.complaint = details.detail or metered.complaint

    @contextmanager
    def metering(self) -> Iterator[Metered]:
        """Count the calls that are made within the block."""
        metered = Metered()
        token = _metered.set(metered)
        try:
            yield metered
        finally:
            _metered.reset(token)
