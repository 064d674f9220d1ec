"""The bodies of ``/splits`` and ``/dividends``, newest first."""

from __future__ import annotations

from typing import Final

import numpy as np

from ingestion_server.sandbox.days import DAY_NS, date_texts
from ingestion_server.sandbox.history import History

Rows = list[dict[str, object]]

PER_ROW: Final = 10
"""Messages of each split, and of each dividend."""
_MILLISECOND_NS: Final = 1_000_000
_DAYS_TO: Final = {"declaredDate": -21, "recordDate": 1, "paymentDate": 10}


def split_rows(history: History, first_ns: int, now_ns: int) -> Rows:
    """Return the splits since a date."""
    symbol = history.instrument.symbol
    return [
        {
            "declaredDate": _date(label - 30 * DAY_NS),
            "description": f"{ratio}-for-1 split",
            "exDate": _date(label),
            "fromFactor": 1,
            "ratio": 1 / ratio,
            "refid": label // DAY_NS,
            "symbol": symbol,
            "toFactor": ratio,
            "id": "SPLITS",
            "key": symbol,
            "subkey": str(label // DAY_NS),
            "date": label // _MILLISECOND_NS,
            "updated": label // _MILLISECOND_NS,
        }
        for label, ratio in history.splits(now_ns)[::-1]
        if label >= first_ns
    ]


def dividend_rows(history: History, first_ns: int, now_ns: int) -> Rows:
    """Return the dividends since an ex-date, as they were paid for a share then."""
    paid = history.dividends(now_ns)
    return [
        {
            "exDate": _date(label),
            "amount": amount,
            "flag": "Cash",
            "currency": history.instrument.venue.currency,
            "description": "Ordinary Shares",
            "frequency": "quarterly",
        }
        | {name: _date(label + days * DAY_NS) for name, days in _DAYS_TO.items()}
        for label, amount in zip(
            paid.label_ns.tolist(), paid.amount.tolist(), strict=True
        )
        if label >= first_ns
    ][::-1]


def _date(label_ns: int) -> str:
    return date_texts(np.array([label_ns], dtype=np.int64))[0]
