"""What values must look like, so that a wrong one is told in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

LARGEST_PORT: Final = 65_535
_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]+)):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Expected:
    """Say in words what a setting holds, where its type does not."""

    words: str


@dataclass(frozen=True, slots=True)
class Unset:
    """Say in words what holds while nobody has set something."""

    words: str


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
Place = Annotated[Path, AfterValidator(_home)]
"""A path; ``~`` is the user's home, and it starts in the working folder."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A length of time."""
Count = Annotated[int, Field(ge=1)]
"""At least one."""
Separated = BeforeValidator(_separated)
Unique = AfterValidator(_unique)
AsText = BeforeValidator(_as_text)
