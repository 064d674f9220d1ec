"""Random numbers as a function of names: the same names, the same numbers."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np


def generator(*names: object) -> np.random.Generator:
    """Return a generator that depends on the names alone."""
    return np.random.Generator(np.random.PCG64(_number(names)))


def fraction(*names: object) -> float:
    """Return a number in ``[0, 1)`` that depends on the names alone."""
    return (_number(names) >> 75) / 2**53


def token(length: int, *names: object) -> str:
    """Return lower-case hexadecimal digits that depend on the names alone."""
    return blake2b(_text(names), digest_size=32).hexdigest()[:length]


def _number(names: tuple[object, ...]) -> int:
    return int.from_bytes(blake2b(_text(names), digest_size=16).digest())


def _text(names: tuple[object, ...]) -> bytes:
    return "|".join(str(name) for name in names).encode()
