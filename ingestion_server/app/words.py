"""What values must look like, so that a wrong one is told in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, Strict

LARGEST_PORT: Final = 65_535
_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]+)):([0-9]{1,5})")

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})")
_SHORTEST_TOKEN: Final = 16
_LONGEST_SHOWN: Final = 60
_USER_OR_QUERY: Final = re.compile(r"(?<=//)[^/\s]*@|\?[^'\s]*")


@dataclass(frozen=True, slots=True)
class Expected:
    """Say in words what a setting holds, where its type does not."""

    words: str


@dataclass(frozen=True, slots=True)
class AsJson:
    """Mark a setting that is a table, or several, and JSON in a variable."""


@dataclass(frozen=True, slots=True)
class Unset:
    """Say in words what holds while nobody has set something."""

    words: str


def quoted(value: object) -> str:
    """Return a value as people wrote it, shortened, without what may be a secret."""
    if value is None:
        return "nothing"
    shown = _USER_OR_QUERY.sub("…", repr(value))
    if len(shown) > _LONGEST_SHOWN:
        return f"{shown[:_LONGEST_SHOWN]}…"
    return shown


def host_and_port(address: str) -> tuple[str, int]:
    """Take an address apart; an IPv6 host loses its brackets."""
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found[3]) > LARGEST_PORT:
        raise ValueError("not an address")
    return found[1] or found[2], int(found[3])


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach the address."""
    host, _ = host_and_port(address)
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _address(text: str) -> str:
    host_and_port(text)
    return text


def _root(url: str) -> str:
    """Take the address of a service, without what could be a secret."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in url:
        raise ValueError("not the address of a service")
    if parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise ValueError("more than an address")
    _ = parts.port  # raises if it is no number
    return url.rstrip("/")


def _postgres(secret: SecretStr) -> SecretStr:
    """Take the URL of a database, which may have a password in it."""
    url = secret.get_secret_value().strip()
    parts = urlsplit(url)
    if parts.scheme != "postgresql+asyncpg" or not parts.path.strip("/"):
        raise ValueError("not a database that is known")
    if not url.isprintable() or " " in url:
        raise ValueError("more than a URL")
    _ = parts.port  # raises if it is no number
    return SecretStr(url)


def _home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("this user has no home") from error


def _key(secret: SecretStr) -> SecretStr:
    """Take off what copying adds; blanks inside mean that it is something else."""
    text = secret.get_secret_value().strip()
    if not text.isprintable() or " " in text:
        raise ValueError("not a key")
    return SecretStr(text)


def _token(secret: SecretStr) -> SecretStr:
    """Take what a header can carry, and nobody guesses."""
    token = _key(secret)
    text = token.get_secret_value()
    if text and (not text.isascii() or len(text) < _SHORTEST_TOKEN):
        raise ValueError("too easily guessed, or nothing that a header can carry")
    return token


def _host_name(text: str) -> str:
    if not _HOST_NAME.fullmatch(text):
        raise ValueError("not the name of a host")
    return text.lower()


def _separated(value: object) -> object:
    """Take a text apart at its commas, as environment variables are written."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _unique(values: Sequence[str]) -> Sequence[str]:
    if len(set(values)) < len(values):
        raise ValueError("something is named twice")
    return values


def _as_text(value: object) -> object:
    """Let a plan be written as the number that it is named for."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole else value


Address = Annotated[
    str, AfterValidator(_address), Expected("HOST:PORT, such as 127.0.0.1:50051")
]
"""Where a door is; port 0 takes a free one."""
Key = Annotated[SecretStr, AfterValidator(_key), Expected("a key, without blanks")]
"""What a vendor knows us by; never shown."""
Root = Annotated[
    str,
    AfterValidator(_root),
    Expected("a url without a query, such as https://iex.example/stable"),
]
"""Where a service's paths begin."""
Collector = Annotated[
    str,
    AfterValidator(_root),
    Expected("a url without a query, such as http://127.0.0.1:4317"),
]
"""Where telemetry is sent."""
DatabaseUrl = Annotated[
    SecretStr,
    AfterValidator(_postgres),
    Expected("postgresql+asyncpg://USER:PASSWORD@HOST:PORT/DATABASE"),
]
"""A PostgreSQL; never shown."""
HostNames = Annotated[
    tuple[Annotated[str, AfterValidator(_host_name)], ...],
    BeforeValidator(_separated),
    Expected("names without ports, such as console.example"),
]
"""What this server is called on the network."""
OperatorToken = Annotated[
    SecretStr,
    AfterValidator(_token),
    Expected("at least 16 characters of ASCII, without blanks"),
]
"""What an operator shows; never shown by us."""
Place = Annotated[Path, AfterValidator(_home)]
"""A path; ``~`` is the user's home, and it starts in the working folder."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A length of time."""
Count = Annotated[int, Field(ge=1)]
"""At least one."""
Whole = Annotated[int, Strict(), Expected("an integer ≥ 1")]
"""How many; whether that makes sense is told of the whole budget."""
Length = Annotated[float, Strict(), Expected("a number of seconds")]
"""A length of time that may be nothing, within a table of strict types."""
Usd = Annotated[Decimal, Expected("a number ≥ 0")]
"""Dollars, exact."""
Text = Annotated[str, Strict()]
"""A text, and no number that could be read as one."""
Header = Annotated[Text, AfterValidator(str.lower)]
"""Name of a header; vendors' pages write them in capitals, and nobody cares."""
Separated = BeforeValidator(_separated)
Unique = AfterValidator(_unique)
AsText = BeforeValidator(_as_text)
