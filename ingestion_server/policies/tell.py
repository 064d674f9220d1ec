"""Let listeners know how each call ended."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Sequence
from typing import Final, final

from typing_extensions import override

from ingestion_server.domain.errors import IngestionError
from ingestion_server.policies.breaker import Verdict, verdict
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import OK, CallDetails, OnCall
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import Call, Policy, Send

CANCELLED: Final = "CANCELLED"
"""The caller gave up, or another vendor was quicker: no verdict on the vendor."""
INTERNAL: Final = "INTERNAL"

_logger = logging.getLogger(__name__)


@final
class Tell(Policy):
    """
    Report each call that leaves: how long it took, and how it ended.

    The feature is what the request declares, never its address: that holds symbols,
    and there are too many of them for a metric.
    """

    def __init__(
        self, hooks: Sequence[OnCall], clock: Clock, *, kind: str = ""
    ) -> None:
        """Tell these listeners of calls for one kind of data."""
        self._hooks = tuple(hooks)
        self._clock = clock
        self._kind = kind

    @override
    async def __call__(self, call: Call, send: Send) -> HttpResponse:
        """Send, and tell."""
        began = self._clock.monotonic()
        outcome, detail, vendor_failed = INTERNAL, "", False
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

    def _tell(self, details: CallDetails) -> None:
        for hook in self._hooks:
            try:
                hook(details)
            except Exception:
                # A listener's bug must not cost anybody an answer.
                _logger.exception("a listener to calls failed: %r", hook)
