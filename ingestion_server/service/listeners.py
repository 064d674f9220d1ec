"""Who hears of calls, and what becomes of a listener's defects."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, final

from typing_extensions import override

from ingestion_server.ports.hooks import OnRpc, RpcDetails

_log: Final = logging.getLogger(__name__)
_DEAF: Final = "a listener to calls failed: %r"


@final
class Listeners(OnRpc):
    """Let all of them hear; a defect of one costs nobody an answer."""

    def __init__(self, hooks: Sequence[OnRpc]) -> None:
        self._hooks = hooks

    @override
    def answered(self, rpc: str, seconds: float | None, trace_id: str) -> None:
        """Tell of a call that was answered."""
        for hook in self._hooks:
            try:
                hook.answered(rpc, seconds, trace_id)
            except Exception:  # noqa: BLE001 - whatever it is, it is logged
                _log.exception(_DEAF, hook)

    @override
    def failed(self, details: RpcDetails) -> None:
        """Tell of a call that was not."""
        for hook in self._hooks:
            try:
                hook.failed(details)
            except Exception:  # noqa: BLE001 - whatever it is, it is logged
                _log.exception(_DEAF, hook)
