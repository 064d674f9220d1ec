"""Let listeners know that a call leaves, and how it ended."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar, final

from typing_extensions import override

from ingestion_server.domain.errors import IngestionError
from ingestion_server.policies.breaker import verdict
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import CANCELLED, OK, CallDetails, OnCall, OnLeaving
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import Call, Policy, Send, Verdict

INTERNAL: Final = "INTERNAL"

_logger = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")


@final
class Tell(Policy):
    """
    Report each call that leaves: how long it took, and how it ended.

    The feature is what the request declares, never its address: that holds symbols,
    and there are too many of them for a metric.
    """

    def __init__(
        self,
        hooks: Sequence[OnCall],
        clock: Clock,
        *,
        kind: str = "",
        leaving: Sequence[OnLeaving] = (),
    ) -> None:
        """Tell these listeners of calls for one kind of data, before and after."""
        self._hooks = tuple(hooks)
        self._leaving = tuple(leaving)
        self._clock = clock
        self._kind = kind

    @override
    async def __call__(self, call: Call, send: Send) -> HttpResponse:
        """Send, and tell."""
        began = self._clock.monotonic()
        outcome, detail, vendor_failed = INTERNAL, "", False
        overs = self._leave(call.request.provider)
        try:
            response = await send(call)
        except IngestionError as e:
            outcome, detail = e.reason, e.message
            # By the breaker's own rule: no two rooms shall blame differently.
            vendor_failed = verdict(e) is Verdict.BROKEN
            raise
        except CancelledError:
            outcome = CANCELLED
            raise
        except Exception as e:
            detail = type(e).__name__
            raise
        else:
            outcome = OK
            return response
        finally:
            for over in overs:
                _shielded(over)
            self._tell(
                CallDetails(
                    provider=call.request.provider,
                    feature=call.request.feature,
                    seconds=self._clock.monotonic() - began,
                    outcome=outcome,
                    detail=detail,
                    kind=self._kind,
                    vendor_failed=vendor_failed,
                )
            )

    def _leave(self, provider: str) -> list[Callable[[], None]]:
        overs = []
        for hook in self._leaving:
            over = _shielded(hook, provider, self._kind)
            if over is not None:
                overs.append(over)
        return overs

    def _tell(self, details: CallDetails) -> None:
        for hook in self._hooks:
            _shielded(hook, details)


def _shielded(tell: Callable[_P, _T], *args: _P.args, **more: _P.kwargs) -> _T | None:
    """Tell a listener: its bug must not cost anybody an answer."""
    try:
        return tell(*args, **more)
    except Exception:
        _logger.exception("a listener to calls failed: %r", tell)
        return None
