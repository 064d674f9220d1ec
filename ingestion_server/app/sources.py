"""Where settings come from: command line, environment, file."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from ingestion_server.app import schema, secrets

CONFIG_VARIABLE: Final = "INGESTION_CONFIG"
"""Names the file if the command line does not."""
COMMAND_LINE: Final = "command line"
"""The origin of what the caller hands in."""
STANDARD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "telemetry.otlp_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
        "telemetry.otlp_protocol": "OTEL_EXPORTER_OTLP_PROTOCOL",
        "telemetry.service_name": "OTEL_SERVICE_NAME",
        "telemetry.resource_attributes": "OTEL_RESOURCE_ATTRIBUTES",
    }
)
"""What OpenTelemetry calls the variables of some settings; ours wins over them."""

# What Kubernetes tells every pod about a service that is called ingestion-something.
_IN_KUBERNETES: Final = "KUBERNETES_SERVICE_HOST"
_SERVICE_LINK: Final = re.compile(
    r"[A-Z0-9]+(?:_[A-Z0-9]+)*?_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*"
    r"|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)


def _table(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Refuse what TOML refuses too; else a mistake in a long line would be lost."""
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key is written twice")
    return table


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no number")


@dataclass(frozen=True, slots=True)
class Found:
    """Hold a value as it was written, and where that was."""

    value: object
    origin: str


class Sources:
    """Collect settings, and everything that is wrong with how they are written."""

    def __init__(self, fields: Mapping[str, FieldInfo]) -> None:
        """Set up for settings by their dotted keys."""
        self._fields = fields
        self.problems: list[str] = []

    def file(self, path: Path) -> dict[str, Found]:
        """Read a TOML file."""
        try:
            with path.open("rb") as stream:
                tables = tomllib.load(stream)
        except OSError as error:
            why = error.strerror or type(error).__name__
            self.problems.append(f"{path}: cannot be read: {why}")
        except UnicodeDecodeError:
            self.problems.append(f"{path}: expected TOML in UTF-8")
        except tomllib.TOMLDecodeError as error:
            self.problems.append(f"{path}: expected TOML: {error}")
        else:
            return dict(self._flat(tables, str(path)))
        return {}

    def environment(self, environ: Mapping[str, str]) -> dict[str, Found]:
        """Read variables; an empty one counts as not set."""
        known = {schema.variable(key): key for key in self._fields}
        hidden = [key for key, field in self._fields.items() if schema.is_secret(field)]
        mounted = {schema.variable(key) + secrets.FILE_SUFFIX for key in hidden}
        allowed = {CONFIG_VARIABLE, *known, *mounted}
        found: dict[str, Found] = {
            key: Found(environ[name], name)
            for key, name in STANDARD.items()
            if key in self._fields and environ.get(name)
        }
        for name in sorted(environ):
            if not name.startswith(schema.PREFIX):
                continue
            if name not in allowed:
                if not (_IN_KUBERNETES in environ and _SERVICE_LINK.fullmatch(name)):
                    self._unknown_variable(name, allowed)
            elif environ[name] and name in known and known[name] not in hidden:
                found |= self._variable(known[name], name, environ[name])
        for key in hidden:
            if (secret := secrets.find(key, environ, self.problems)) is not None:
                found[key] = Found(secret.value, secret.origin)
        return found

    def overrides(self, tables: Mapping[str, object]) -> dict[str, Found]:
        """Take what the command line says; None counts as not said."""
        flat = self._flat(tables, COMMAND_LINE)
        return {key: found for key, found in flat if found.value is not None}

    def _flat(
        self, tables: Mapping[str, object], origin: str, above: str = ""
    ) -> Iterator[tuple[str, Found]]:
        for name, value in tables.items():
            key = f"{above}{name}"
            if (field := self._fields.get(key)) is not None:
                hide = schema.is_secret(field) and isinstance(value, str)
                yield key, Found(SecretStr(str(value)) if hide else value, origin)
            elif not any(known.startswith(f"{key}.") for known in self._fields):
                hint = schema.guess(key, self._fields)
                self.problems.append(f"{key} ({origin}): unknown setting{hint}")
            elif isinstance(value, Mapping):
                yield from self._flat(value, origin, f"{key}.")
            else:
                self.problems.append(f"{key} ({origin}): expected a table of settings")

    def _variable(self, key: str, name: str, text: str) -> dict[str, Found]:
        if not schema.is_table(self._fields[key]):
            return {key: Found(text, name)}
        try:
            value = json.loads(
                text, object_pairs_hook=_table, parse_constant=_no_number
            )
        # Of brackets without end, the reader runs out of room.
        except (ValueError, RecursionError) as error:
            expected = schema.expectation(self._fields[key])
            told = f"{key} ({name}): expected {expected}, in JSON: {error}"
            self.problems.append(told)
            return {}
        return {key: Found(value, name)}

    def _unknown_variable(self, name: str, allowed: set[str]) -> None:
        inside = f"{name}{schema.NESTING}"
        if any(known.startswith(inside) for known in allowed):
            example = min(known for known in allowed if known.startswith(inside))
            hint = f"; its settings are named like {example}"
        else:
            hint = schema.guess(name, sorted(allowed))
        self.problems.append(f"{name}: unknown setting{hint}")
