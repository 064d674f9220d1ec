"""From columns to the frames of pandas, polars and Arrow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ingestion_server.client.columns import NO_TRADE_COUNT, Columns
from ingestion_server.client.vocabulary import BarState

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import polars as pl
    import pyarrow as pa  # type: ignore[import-untyped]

STATES = [state.name.lower() for state in BarState]
"""The words for the numbers of `BarState`, in their order."""


def to_pandas(columns: Columns, metadata: Mapping[str, object]) -> pd.DataFrame:
    """Make a data frame, indexed by time in UTC."""
    try:
        import pandas as pd  # noqa: PLC0415 - optional, and slow to import
    except ImportError as e:
        raise _absent("to_pandas", "pandas") from e
    times = pd.DatetimeIndex(
        columns.open_time_ns.view("datetime64[ns]"), tz="UTC", name="time"
    )
    data: dict[str, object] = dict(_floats(columns))
    if columns.trade_count is not None:
        counts = pd.array(columns.trade_count, dtype="Int64")
        counts[columns.trade_count == NO_TRADE_COUNT] = pd.NA
        data["trade_count"] = counts
    data["state"] = pd.Categorical.from_codes(_states(columns), categories=STATES)
    frame = pd.DataFrame(data, index=times)
    frame.attrs.update(metadata)
    return frame


def to_polars(columns: Columns) -> pl.DataFrame:
    """Make a data frame with the column ``time`` in UTC; what is unknown is null."""
    try:
        import polars as pl  # noqa: PLC0415 - optional, and slow to import
    except ImportError as e:
        raise _absent("to_polars", "polars") from e
    times = pl.Series("time", columns.open_time_ns).cast(pl.Datetime("ns", "UTC"))
    floats = [
        pl.Series(name, values, nan_to_null=True)
        for name, values in _floats(columns).items()
    ]
    states = np.array(STATES)[_states(columns)]
    frame = pl.DataFrame(
        [times, *floats, pl.Series("state", states.tolist(), pl.Enum(STATES))]
    )
    if columns.trade_count is None:
        return frame
    counts = pl.Series("trade_count", columns.trade_count)
    return frame.insert_column(-1, counts.set(counts == NO_TRADE_COUNT, None))


def to_arrow(columns: Columns, metadata: Mapping[str, object]) -> pa.Table:
    """Make a table with the column ``time`` in UTC; what is unknown is null."""
    import pyarrow as pa  # noqa: PLC0415 - slow to import

    data = {"time": pa.array(columns.open_time_ns).cast(pa.timestamp("ns", tz="UTC"))}
    for name, values in _floats(columns).items():
        data[name] = pa.array(values, from_pandas=True)
    if columns.trade_count is not None:
        unknown = columns.trade_count == NO_TRADE_COUNT
        data["trade_count"] = pa.array(columns.trade_count, mask=unknown)
    data["state"] = pa.DictionaryArray.from_arrays(_states(columns), STATES)
    return pa.table(data).replace_schema_metadata(
        {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in metadata.items()
        }
    )


def to_parquet(
    columns: Columns, symbol: str, providers: Sequence[str], path: Path
) -> None:
    """Write a file of all columns, and of symbol and provider of each bar."""
    table = to_arrow(columns, {})
    import pyarrow as pa  # noqa: PLC0415 - slow to import
    from pyarrow import parquet  # noqa: PLC0415

    # Words are texts in the file's schema, whatever they are in its pages.
    state = table["state"].cast(pa.string())
    table = table.set_column(table.column_names.index("state"), "state", state)
    table = table.add_column(0, "symbol", pa.array([symbol] * len(table), pa.string()))
    table = table.append_column("provider", pa.array(providers, pa.string()))
    parquet.write_table(
        table.replace_schema_metadata(None), path, compression="zstd", version="2.6"
    )


def _floats(
    columns: Columns,
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Name the columns of prices and volumes that are there."""
    floats = {
        "open": columns.open,
        "high": columns.high,
        "low": columns.low,
        "close": columns.close,
        "volume": columns.volume,
    }
    return floats if columns.vwap is None else floats | {"vwap": columns.vwap}


def _states(columns: Columns) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """Tell each bar's state; one that is newer than this client is unspecified."""
    known = columns.state < len(STATES)
    return np.where(known, columns.state, BarState.UNSPECIFIED).astype(np.int8)


def _absent(method: str, extra: str) -> ImportError:
    """Tell how to install what a method needs."""
    return ImportError(
        f"{method}() needs an optional library: pip install 'ingestion-server[{extra}]'"
    )
