"""The answer as users hold it: columns of bars, and the truth about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from google.protobuf import json_format
from marketdata.ingestion.v1 import bar_pb2, ingestion_service_pb2, provenance_pb2
from typing_extensions import override

from ingestion_server.client import frames, provenance, vocabulary
from ingestion_server.client.columns import NO_TRADE_COUNT, Columns, joined
from ingestion_server.client.provenance import (
    Attempt,
    MissingInterval,
    QualityFlag,
    Source,
)
from ingestion_server.client.vocabulary import Completeness

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import polars as pl
    import pyarrow as pa  # type: ignore[import-untyped]

_DAYS_AND_LONGER = frozenset({"1d", "1w", "1mo"})
# Of several chunks, the least complete speaks for all.
_WORST_FIRST = (
    Completeness.UNSPECIFIED,
    Completeness.PARTIAL,
    Completeness.DEGRADED,
    Completeness.COMPLETE,
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bars:
    """
    Hold the bars of one instrument, ascending by time, and the truth about them.

    Each column is an array with one value per bar; what a vendor does not know is
    NaN, for example the volume of a currency pair.
    """

    symbol: str
    """The symbol in the server's spelling, for example ``BRK.B``."""
    interval: str
    """Length of a bar, as in the query: ``1d``."""
    adjustment: str
    """``raw``, ``split`` or ``split_dividend``; raw for FX, crypto and indices."""
    currency: str
    """Unit of the prices: ISO 4217, or a minor unit such as ``GBp``; may be empty."""
    volume_unit: str
    """What volume counts, if no shares or contracts: ``BTC`` or ``USD``."""
    time_zone: str
    """IANA name of the exchange's time zone."""
    exchange: str
    """Market identifier code; empty for FX and crypto."""
    columns: Columns
    """All columns; each is an attribute of this object too."""
    completeness: Completeness
    """Whether everything that was asked for is there."""
    missing: tuple[MissingInterval, ...]
    """What is missing, ascending."""
    sources: tuple[Source, ...]
    """Who served each stretch, ascending, without overlap."""
    attempts: tuple[Attempt, ...]
    """What the server tried, in order."""
    quality_flags: tuple[QualityFlag, ...]
    """What was noticed about the bars."""
    request_id: str
    """Finds this request in the server's log."""
    _answer: ingestion_service_pb2.FetchResponse = field(repr=False)
    """The answer on the wire, without its columns."""

    def __len__(self) -> int:
        return len(self.open_time_ns)

    @override
    def __repr__(self) -> str:
        served = ", ".join(dict.fromkeys(source.provider for source in self.sources))
        facts = [
            f"{len(self)} bars{self._span()}",
            f"{self.adjustment} {self.currency}".strip(),
            str(self.completeness),
            f"from {served}" if served else "",
            f"{len(self.missing)} missing" if self.missing else "",
        ]
        return f"<Bars {self.symbol} {self.interval}: {', '.join(filter(None, facts))}>"

    @property
    def open_time_ns(self) -> npt.NDArray[np.int64]:
        """When each bar opens, in nanoseconds since 1970 UTC."""
        return self.columns.open_time_ns

    @property
    def times(self) -> npt.NDArray[np.datetime64]:
        """When each bar opens, as ``datetime64[ns]`` in UTC."""
        return self.columns.open_time_ns.view("datetime64[ns]")

    @property
    def open(self) -> npt.NDArray[np.float64]:
        """First prices."""
        return self.columns.open

    @property
    def high(self) -> npt.NDArray[np.float64]:
        """Highest prices."""
        return self.columns.high

    @property
    def low(self) -> npt.NDArray[np.float64]:
        """Lowest prices."""
        return self.columns.low

    @property
    def close(self) -> npt.NDArray[np.float64]:
        """Last prices."""
        return self.columns.close

    @property
    def volume(self) -> npt.NDArray[np.float64]:
        """Units traded; NaN if the vendor has no volumes."""
        return self.columns.volume

    @property
    def state(self) -> npt.NDArray[np.int8]:
        """Whether each bar can still change, as the numbers of `BarState`."""
        return self.columns.state

    @property
    def vwap(self) -> npt.NDArray[np.float64] | None:
        """Volume-weighted average prices; None if the vendor has none."""
        return self.columns.vwap

    @property
    def trade_count(self) -> npt.NDArray[np.int64] | None:
        """Numbers of trades, -1 where unknown; None if the vendor has none."""
        return self.columns.trade_count

    @property
    def is_daily(self) -> bool:
        """Whether bars are labelled by a date: those of a day, a week or a month."""
        return self.interval in _DAYS_AND_LONGER

    def provider_names(self) -> list[str]:
        """Name the vendor of each bar; empty where no source signs it."""
        names = [""] * len(self)
        for source in self.sources:
            first, last = np.searchsorted(
                self.times, [_naive(source.start), _naive(source.end)]
            ).tolist()
            names[first:last] = [source.provider] * (last - first)
        return names

    def to_pandas(self) -> pd.DataFrame:
        """Make a data frame, indexed by time in UTC; ``attrs`` hold the truth."""
        return frames.to_pandas(self.columns, self.metadata())

    def to_polars(self) -> pl.DataFrame:
        """Make a data frame with the column ``time`` in UTC."""
        return frames.to_polars(self.columns)

    def to_arrow(self) -> pa.Table:
        """Make a table with the column ``time`` in UTC; its schema holds the truth."""
        return frames.to_arrow(self.columns, self.metadata())

    def to_parquet(self, path: Path) -> None:
        """
        Write a Parquet file: the columns of `to_arrow`, the symbol and the provider.

        Files of several symbols read as one table.
        """
        frames.to_parquet(self.columns, self.symbol, self.provider_names(), path)

    def to_json(self) -> str:
        """Write the FetchResponse with its bars as rows, in protobuf's JSON."""
        answer = ingestion_service_pb2.FetchResponse()
        answer.CopyFrom(self._answer)
        add_rows(answer.series, self.columns)
        return json_format.MessageToJson(answer, ensure_ascii=False)

    def metadata(self) -> dict[str, object]:
        """Tell everything but the columns, in values that JSON knows."""
        facts: dict[str, object] = json_format.MessageToDict(
            self._answer, preserving_proto_field_name=True
        )
        return {
            "symbol": self.symbol,
            "interval": self.interval,
            "adjustment": self.adjustment,
            "currency": self.currency,
            "volume_unit": self.volume_unit,
            "time_zone": self.time_zone,
            "exchange": self.exchange,
            "completeness": str(self.completeness),
            "missing": facts.get("missing", []),
            "sources": facts.get("sources", []),
            "quality_flags": facts.get("quality_flags", []),
            "request_id": self.request_id,
        }

    def _span(self) -> str:
        """Tell the first and the last time, if there are any."""
        if not len(self):
            return ""
        unit = "D" if self.is_daily else "s"
        ends = self.times[[0, -1]].astype(f"datetime64[{unit}]")
        return " {} … {}".format(*ends.astype(str))


def decoded(chunks: Sequence[ingestion_service_pb2.FetchResponse]) -> Bars:
    """Read an answer that came in one chunk or in several; it takes them apart."""
    columns = joined([chunk.series.columns for chunk in chunks])
    found = {provenance.completeness(chunk) for chunk in chunks}
    answer = ingestion_service_pb2.FetchResponse()
    for chunk in chunks:
        chunk.series.ClearField("columns")
        answer.MergeFrom(chunk)
    worst = next(word for word in _WORST_FIRST if word in found)
    answer.completeness = provenance_pb2.Completeness.Value(f"COMPLETENESS_{worst}")
    series = answer.series
    return Bars(
        symbol=series.symbol,
        interval=vocabulary.word(vocabulary.INTERVALS, series.interval),
        adjustment=vocabulary.word(vocabulary.ADJUSTMENTS, series.adjustment),
        currency=series.currency,
        volume_unit=series.volume_unit,
        time_zone=series.time_zone,
        exchange=series.exchange,
        columns=columns,
        completeness=worst,
        missing=provenance.missing(answer),
        sources=provenance.sources(answer),
        attempts=provenance.attempts(answer),
        quality_flags=provenance.quality_flags(answer),
        request_id=answer.request_id,
        _answer=answer,
    )


def _naive(moment: datetime) -> np.datetime64:
    """Make the point in time that numpy compares; it knows no zones."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "ns")


def add_rows(series: bar_pb2.BarSeries, columns: Columns) -> None:
    """Write the bars as rows; what is unknown stays absent."""
    prices = {
        name: values.tolist()
        for name in ("open", "high", "low", "close", "volume", "vwap")
        if (values := getattr(columns, name)) is not None
    }
    counts = [] if columns.trade_count is None else columns.trade_count.tolist()
    states = columns.state.tolist()
    for row, time_ns in enumerate(columns.open_time_ns.tolist()):
        bar = series.bars.add(state=states[row])
        bar.open_time.FromNanoseconds(time_ns)
        for name, values in prices.items():
            if values[row] == values[row]:  # NaN differs from itself
                setattr(bar, name, values[row])
        if counts and counts[row] != NO_TRADE_COUNT:
            bar.trade_count = counts[row]
