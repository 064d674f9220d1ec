"""Where vendors' keys come from: variables by several names, and mounted files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import SecretStr

from ingestion_server.app import schema

CUSTOMARY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "providers.alpha_vantage.api_key": (
            "ALPHAVANTAGE_API_KEY",
            "ALPHA_VANTAGE_API_KEY",
        ),
        "providers.finnhub.api_key": ("FINNHUB_API_KEY",),
        "providers.iex_cloud.api_key": ("IEX_TOKEN",),
        "telemetry.otlp_headers": ("OTEL_EXPORTER_OTLP_HEADERS",),
    }
)
"""What other programs call the variables; ours wins over them."""
FILE_SUFFIX: Final = "_FILE"
"""What marks a variable that names a file with the value in it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Hold a secret, and the variable it came from."""

    value: SecretStr
    origin: str


def names(key: str) -> tuple[str, ...]:
    """Return the variables that may hold a secret, the first to win first."""
    return (schema.variable(key), *CUSTOMARY.get(key, ()))


def find(key: str, environ: Mapping[str, str], problems: list[str]) -> Secret | None:
    """Return a secret of the environment; what is wrong is added to the problems."""
    for name in names(key):
        text, file = environ.get(name, ""), environ.get(name + FILE_SUFFIX, "")
        if text and file:
            problems.append(
                f"{key} ({name}, {name}{FILE_SUFFIX}): expected one of the two, "
                "got both"
            )
            return None
        if text:
            return Secret(SecretStr(text.strip()), name)
        if file:
            return _mounted(key, name + FILE_SUFFIX, Path(file), problems)
    return None


def _mounted(key: str, name: str, path: Path, problems: list[str]) -> Secret | None:
    try:
        text = path.read_text("utf-8").strip()
    except OSError as error:
        why = error.strerror or type(error).__name__
    except ValueError:
        why = "it is no text"
    else:
        if text:
            return Secret(SecretStr(text), name)
        why = "it is empty"
    # The path is not told: it may be the key itself, set to the wrong variable.
    problems.append(f"{key} ({name}): expected a file with the key: {why}")
    return None
