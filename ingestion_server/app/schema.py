"""What keys there are, read off the model, and how people write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from typing_extensions import TypeIs

from ingestion_server.app.words import AsJson, Expected, Unset

PREFIX: Final = "INGESTION_"
"""How our environment variables begin."""
NESTING: Final = "__"
"""What stands for the dot in them."""

_ALIKE: Final = 0.8
_MOST_GUESSES: Final = 3
_KINDS: Final[Mapping[object, str]] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    Decimal: "a number",
    str: "a text",
}


def leaves(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield each setting's dotted key and its field, in the model's order."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if _is_model(kind):
            yield from leaves(kind, f"{above}{name}.")
        else:
            yield f"{above}{name}", field


def variable(key: str) -> str:
    """Return the environment variable of a key."""
    return PREFIX + key.replace(".", NESTING).upper()


def is_secret(field: FieldInfo) -> bool:
    """Return whether the value must never be shown."""
    return _bare(field.annotation) is SecretStr


def is_number(field: FieldInfo) -> bool:
    """Return whether a number is wanted, which true and false are not."""
    return _bare(field.annotation) in (int, float, Decimal)


def is_table(field: FieldInfo) -> bool:
    """Return whether it is a table, or several, and JSON in a variable."""
    return any(isinstance(item, AsJson) for item in field.metadata)


def expectation(field: FieldInfo) -> str:
    """Say in words what a setting holds."""
    return _words(field.annotation, field.metadata)


def part(field: FieldInfo, place: Sequence[int | str]) -> str:
    """Say in words what a place within a table holds; empty if there is no such."""
    kind: object = field.annotation
    metadata: Sequence[object] = ()
    for step in place:
        kind = _bare(kind)
        if _is_model(kind):
            if (inner := kind.model_fields.get(str(step))) is None:
                return ""
            kind, metadata = inner.annotation, inner.metadata
        else:
            # Each row of tuple[X, ...], and each value of Mapping[str, X], is an X.
            row, *values = get_args(kind)
            kind, metadata = (row if get_origin(kind) is tuple else values[0]), ()
    return _words(kind, metadata)


def parts(field: FieldInfo) -> tuple[str, ...]:
    """Name what each of several tables may hold."""
    row = _bare(next(iter(get_args(_bare(field.annotation))), None))
    return tuple(row.model_fields) if _is_model(row) else ()


def unset(field: FieldInfo) -> str:
    """Say in words what holds while nobody has set something."""
    said = (item.words for item in field.metadata if isinstance(item, Unset))
    return next(said, "not set")


def guess(key: str, known: Iterable[str]) -> str:
    """Say which known keys may have been meant; empty if there are none."""
    names = tuple(known)
    last = key.rpartition(".")[2]
    alike = get_close_matches(key, names, n=1, cutoff=_ALIKE)
    moved = [name for name in names if name.rpartition(".")[2] == last]
    meant = alike or moved[:_MOST_GUESSES]
    return f"; did you mean {' or '.join(meant)}?" if meant else ""


def _bare(kind: object) -> object:
    """Take off what is said beside a type, and that it may be None."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _bare(get_args(kind)[0])
    if origin in (Union, UnionType):
        return _bare(next(each for each in get_args(kind) if each is not NoneType))
    return kind


def _is_model(kind: object) -> TypeIs[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _words(kind: object, metadata: Sequence[object]) -> str:
    for item in metadata:
        if isinstance(item, Expected):
            return item.words
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *extra = get_args(kind)
        return _words(inner, extra)
    if origin in (Union, UnionType):
        return _words(next(k for k in get_args(kind) if k is not NoneType), ())
    if choices := _choices(kind):
        return f"one of {', '.join(choices)}"
    if _is_model(kind):
        return "a table of settings"
    return _KINDS.get(kind, "a path") + _bound(metadata)


def _choices(kind: object) -> Sequence[str]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else ()


def _bound(metadata: Sequence[object]) -> str:
    for item in metadata:
        # Where None is taken as well, pydantic leaves the bounds of the type packed.
        if isinstance(item, FieldInfo):
            return _bound(item.metadata)
        for name, sign in (("ge", "≥"), ("gt", ">")):
            if (least := getattr(item, name, None)) is not None:
                return f" {sign} {least}"
    return ""
