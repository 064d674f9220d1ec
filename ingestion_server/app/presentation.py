"""The settings as they are in effect, for eyes that may not see a secret."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from ingestion_server.app import schema
from ingestion_server.app.settings import FIELDS, Settings

MASK: Final = "********"
"""What stands for a secret, however long it is."""

Plain = bool | int | float | str | list[str] | None


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
    text = f"({schema.unset(FIELDS[key])})" if value is None else _text(value)
    return Shown(key, value, text, settings.origin(key))


def _plain(held: object) -> Plain:
    match held:
        case SecretStr():
            return MASK if held.get_secret_value() else None
        case Path():
            return str(held)
        case tuple() | list():
            return [str(item) for item in held]
        case None | bool() | int() | float() | str():
            return held
        case _:
            raise TypeError(f"a setting cannot be a {type(held).__name__}")


def _text(value: Plain) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list():
            return ", ".join(value)
        case float():
            return str(value).removesuffix(".0")
        case _:
            return str(value)
