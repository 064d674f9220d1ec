"""
Yahoo's ``PricingData``, written by hand from its published field numbers.

A value of zero is left out, as proto3 does.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

Value = str | float | int
Encoder = Callable[[int, Value], bytes]

_VARINT: Final = 0
_EIGHT_BYTES: Final = 1
_LENGTH: Final = 2
_FOUR_BYTES: Final = 5
_SEVEN_BITS: Final = 0x7F
_MORE: Final = 0x80
_SIGN_BIT: Final = 63


def pricing_data(values: Mapping[str, Value]) -> bytes:
    """Return the message; an unknown name raises ``KeyError``."""
    fields = sorted((*_FIELDS[name], value) for name, value in values.items() if value)
    return b"".join(encode(number, value) for number, encode, value in fields)


def float32(value: float) -> float:
    """Return what a float of the message makes of a number, in its shortest digits."""
    return float(str(np.float32(value)))


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > _SEVEN_BITS:
        written.append(number & _SEVEN_BITS | _MORE)
        number >>= 7
    written.append(number)
    return bytes(written)


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _text(field: int, value: Value) -> bytes:
    data = str(value).encode()
    return _tag(field, _LENGTH) + _varint(len(data)) + data


def _float(field: int, value: Value) -> bytes:
    return _tag(field, _FOUR_BYTES) + struct.pack("<f", value)


def _double(field: int, value: Value) -> bytes:
    return _tag(field, _EIGHT_BYTES) + struct.pack("<d", value)


def _whole(field: int, value: Value) -> bytes:
    return _tag(field, _VARINT) + _varint(int(value))


def _signed(field: int, value: Value) -> bytes:
    number = int(value)
    return _tag(field, _VARINT) + _varint(number << 1 ^ number >> _SIGN_BIT)


_FIELDS: Final[Mapping[str, tuple[int, Encoder]]] = {
    "id": (1, _text),
    "price": (2, _float),
    "time": (3, _signed),
    "currency": (4, _text),
    "exchange": (5, _text),
    "quote_type": (6, _whole),
    "market_hours": (7, _whole),
    "change_percent": (8, _float),
    "day_volume": (9, _signed),
    "day_high": (10, _float),
    "day_low": (11, _float),
    "change": (12, _float),
    "short_name": (13, _text),
    "open_price": (15, _float),
    "previous_close": (16, _float),
    "last_size": (22, _signed),
    "bid": (23, _float),
    "bid_size": (24, _signed),
    "ask": (25, _float),
    "ask_size": (26, _signed),
    "price_hint": (27, _signed),
    "vol_24hr": (28, _signed),
    "vol_all_currencies": (29, _signed),
    "from_currency": (30, _text),
    "circulating_supply": (32, _double),
    "market_cap": (33, _double),
}
