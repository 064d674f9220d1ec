"""The words users write and read, and the numbers they are on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final, TypeVar

from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    source_policy_pb2,
    stream_pb2,
)

from ingestion_server.client.errors import InvalidOptionError

_Number = TypeVar("_Number")


class Completeness(StrEnum):
    """Say whether everything that was asked for is there."""

    UNSPECIFIED = "UNSPECIFIED"
    """The server did not say, or said it in a newer word than this client knows."""
    COMPLETE = "COMPLETE"
    """Every bar that should exist by now is there."""
    PARTIAL = "PARTIAL"
    """Some bars are missing; ``Bars.missing`` names each interval."""
    DEGRADED = "DEGRADED"
    """Every bar is there, but some are older than the vendor would give now."""


class BarState(IntEnum):
    """Say whether a bar can still change; the numbers are those of ``Bars.state``."""

    UNSPECIFIED = 0
    """Not said."""
    FINAL = 1
    """The bar's time is over and the vendor had settled it."""
    PARTIAL = 2
    """The bar's time is not over, or the vendor may still be settling it."""
    REVISED = 3
    """The vendor corrected the bar after it was final; it stays marked."""


INTERVALS: Final[Mapping[str, bar_pb2.Interval.ValueType]] = {
    "1m": bar_pb2.INTERVAL_1_MINUTE,
    "5m": bar_pb2.INTERVAL_5_MINUTES,
    "15m": bar_pb2.INTERVAL_15_MINUTES,
    "30m": bar_pb2.INTERVAL_30_MINUTES,
    "1h": bar_pb2.INTERVAL_1_HOUR,
    "1d": bar_pb2.INTERVAL_1_DAY,
    "1w": bar_pb2.INTERVAL_1_WEEK,
    "1mo": bar_pb2.INTERVAL_1_MONTH,
}
ADJUSTMENTS: Final[Mapping[str, bar_pb2.Adjustment.ValueType]] = {
    "raw": bar_pb2.ADJUSTMENT_RAW,
    "split": bar_pb2.ADJUSTMENT_SPLIT,
    "split_dividend": bar_pb2.ADJUSTMENT_SPLIT_DIVIDEND,
}
SESSIONS: Final[Mapping[str, ingestion_service_pb2.Session.ValueType]] = {
    "regular": ingestion_service_pb2.SESSION_REGULAR,
    "extended": ingestion_service_pb2.SESSION_EXTENDED,
}
ASSET_CLASSES: Final[Mapping[str, ingestion_service_pb2.AssetClass.ValueType]] = {
    "equity": ingestion_service_pb2.ASSET_CLASS_EQUITY,
    "fx": ingestion_service_pb2.ASSET_CLASS_FX,
    "crypto": ingestion_service_pb2.ASSET_CLASS_CRYPTO,
    "index": ingestion_service_pb2.ASSET_CLASS_INDEX,
    "future": ingestion_service_pb2.ASSET_CLASS_FUTURE,
}
MODES: Final[Mapping[str, source_policy_pb2.SourcePolicy.Mode.ValueType]] = {
    "any": source_policy_pb2.SourcePolicy.MODE_ANY,
    "ordered": source_policy_pb2.SourcePolicy.MODE_ORDERED,
    "pinned": source_policy_pb2.SourcePolicy.MODE_PINNED,
    "consensus": source_policy_pb2.SourcePolicy.MODE_CONSENSUS,
}
PRIORITIES: Final[Mapping[str, ingestion_service_pb2.Priority.ValueType]] = {
    "interactive": ingestion_service_pb2.PRIORITY_INTERACTIVE,
    "batch": ingestion_service_pb2.PRIORITY_BATCH,
}
TICK_KINDS: Final[Mapping[str, stream_pb2.TickKind.ValueType]] = {
    "trades": stream_pb2.TICK_KIND_TRADES,
    "quotes": stream_pb2.TICK_KIND_QUOTES,
    "bars": stream_pb2.TICK_KIND_BARS,
}
SLOW_CONSUMERS: Final[Mapping[str, stream_pb2.SlowConsumer.ValueType]] = {
    "conflate": stream_pb2.SLOW_CONSUMER_CONFLATE,
    "drop_oldest": stream_pb2.SLOW_CONSUMER_DROP_OLDEST,
    "disconnect": stream_pb2.SLOW_CONSUMER_DISCONNECT,
}


def number(words: Mapping[str, _Number], word: str, name: str) -> _Number:
    """Translate a word, or tell which ones there are."""
    try:
        return words[word.lower()]
    except KeyError:
        accepted = ", ".join(words)
        raise InvalidOptionError(f"{name} {word!r} is none of: {accepted}") from None


def word(words: Mapping[str, _Number], number: _Number) -> str:
    """Translate a number back; one that is newer than this client is empty."""
    return next((word for word, known in words.items() if known == number), "")
