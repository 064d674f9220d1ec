"""The settings as they are in effect, for eyes that may not see a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Final

from pydantic import BaseModel, SecretStr

from ingestion_server.app import schema
from ingestion_server.app.settings import FIELDS, Settings
from ingestion_server.app.vendor_sections import WindowSettings

MASK: Final = "********"
"""What stands for a secret, however long it is."""

Plain = bool | int | float | str | list[object] | dict[str, object] | None


@dataclass(frozen=True, slots=True)
class Shown:
    """Show one setting."""

    key: str
    """Dotted, as in the file."""
    value: Plain
    """What holds, for programs; None = nobody has set it."""
    text: str
    """The same for people; of what nobody has set, what that means."""
    origin: str
    """The variable, the file, ``command line`` or ``default``."""


def effective(settings: Settings) -> list[Shown]:
    """Return every setting with its value and where that comes from."""
    return [_shown(settings, key) for key in FIELDS]


def _shown(settings: Settings, key: str) -> Shown:
    held: object = reduce(getattr, key.split("."), settings)
    value = _plain(held)
    text = f"({schema.unset(FIELDS[key])})" if value is None else _text(held)
    return Shown(key, value, text, settings.origin(key))


def _plain(held: object) -> Plain:
    match held:
        case SecretStr():
            return MASK if held.get_secret_value() else None
        case Path():
            return str(held)
        case Decimal():
            return float(held)
        case tuple() | list():
            return [_plain(item) for item in held]
        case BaseModel() | Mapping():
            return _table(held)
        case None | bool() | int() | float() | str():
            return held
        case _:
            raise TypeError(f"a setting cannot be a {type(held).__name__}")


def _table(held: BaseModel | Mapping[str, object]) -> dict[str, object]:
    if isinstance(held, BaseModel):
        # As it was written, so that it can be written again.
        return held.model_dump(mode="json", exclude_unset=True)
    return {name: _plain(item) for name, item in held.items()}


def _text(held: object) -> str:
    match held:
        case bool():
            return str(held).lower()
        case SecretStr():
            return MASK
        case WindowSettings():
            return _window(held)
        case tuple() | list() | Mapping():
            return ", ".join(_items(held)) or "none"
        case float():
            return str(held).removesuffix(".0")
        case _:
            # Not 1E-7: people compare prices with what stands on an invoice.
            return f"{held:f}" if isinstance(held, Decimal) else str(held)


def _items(held: Sequence[object] | Mapping[str, object]) -> Iterator[str]:
    if isinstance(held, Mapping):
        return (f"{name} = {_text(item)}" for name, item in held.items())
    return map(_text, held)


def _window(window: WindowSettings) -> str:
    """Return a window in few words, and by its name what else was set."""
    stretch = window.period or f"{_text(window.seconds)} s"
    said = {"name", "limit", "seconds", "period", "counts"}
    more = window.model_dump(mode="json", exclude_unset=True, exclude=said)
    besides = ", ".join(f"{name} {_text(item)}" for name, item in more.items())
    told = f"{window.name}: {window.limit} {window.counts} per {stretch}"
    return f"{told} ({besides})" if besides else told
