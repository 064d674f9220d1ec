"""
The protobuf message that Yahoo streams, by our own description of it.

Only what is read is described; the rest of its thirty-odd fields is skipped. A field
that is absent is 0 or empty, so a true 0 cannot be told from nothing.
"""

from __future__ import annotations

from typing import Final, Protocol, cast

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_FILE: Final = "yahoo_pricing.proto"
_Field = descriptor_pb2.FieldDescriptorProto
_FIELDS: Final = (
    ("id", 1, _Field.TYPE_STRING),
    ("price", 2, _Field.TYPE_FLOAT),
    ("time", 3, _Field.TYPE_SINT64),
    ("day_volume", 9, _Field.TYPE_SINT64),
    ("last_size", 22, _Field.TYPE_SINT64),
    ("bid", 23, _Field.TYPE_FLOAT),
    ("bid_size", 24, _Field.TYPE_SINT64),
    ("ask", 25, _Field.TYPE_FLOAT),
    ("ask_size", 26, _Field.TYPE_SINT64),
)
"""Names, numbers and types; [S], those of the recording [R]."""


class PricingData(Protocol):
    """Hold what Yahoo says of one symbol; prices are widened float32."""

    id: str
    price: float
    time: int
    """Milliseconds since 1970 UTC, of the last trade."""
    day_volume: int
    last_size: int
    bid: float
    bid_size: int
    ask: float
    ask_size: int


class _Parser(Protocol):
    def FromString(self, body: bytes, /) -> PricingData:  # noqa: N802 - protobuf's
        """Read a message."""
        ...


def _parser() -> _Parser:
    described = descriptor_pb2.DescriptorProto(
        name="PricingData",
        field=[
            _Field(name=name, number=number, type=kind, label=_Field.LABEL_OPTIONAL)
            for name, number, kind in _FIELDS
        ],
    )
    # In a pool of its own, since whoever else describes it would be in the way.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(
        descriptor_pb2.FileDescriptorProto(
            name=_FILE, syntax="proto3", message_type=[described]
        )
    )
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("PricingData"))
    return cast("_Parser", kind)


_read: Final = _parser().FromString


def read_pricing(body: bytes) -> PricingData:
    """
    Read a message.

    Raises:
        ValueError: It is none.

    """
    try:
        return _read(body)
    except DecodeError as error:
        raise ValueError(f"no PricingData: {error}") from error


def published(price: float) -> float:
    """Return the decimal that a widened float32 was sent for, the shortest one."""
    return float(str(np.float32(price)))
