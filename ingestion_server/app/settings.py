"""
The one typed model of everything that can be set, and how it is loaded.

Values come from the command line, the environment (``INGESTION_GRPC__ADDRESS`` is
``grpc.address``), a TOML file and the defaults; the first that has one wins. The file
is the one that ``--config`` or ``INGESTION_CONFIG`` names; none is looked for, so that
the folder in which a server happens to be started changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self, final

from pydantic import PrivateAttr, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from typing_extensions import override

from ingestion_server.app import schema
from ingestion_server.app.discovery_section import DiscoverySettings, unreachable
from ingestion_server.app.job_section import JobSettings
from ingestion_server.app.report_section import ReportSettings
from ingestion_server.app.sections import (
    ActionsSettings,
    BreakerSettings,
    CacheSettings,
    CalendarSettings,
    GrpcSettings,
    HedgeSettings,
    HttpSettings,
    LogSettings,
    QuotaSettings,
    RegistrySettings,
    RetrySettings,
    SandboxSettings,
    StateSettings,
    StoreSettings,
    TransportSettings,
)
from ingestion_server.app.sources import CONFIG_VARIABLE, Found, Sources
from ingestion_server.app.stream_section import StreamSettings
from ingestion_server.app.telemetry_section import TelemetrySettings
from ingestion_server.app.vendor_sections import ProvidersSettings
from ingestion_server.app.words import is_loopback, quoted

DEFAULT: Final = "default"
"""The origin of what nobody has set."""
_PROTECTED: Final[Mapping[str, str]] = {
    "grpc.address": "an address that only this machine can reach, or TLS "
    "(grpc.tls_certificate_file, grpc.tls_key_file), or --allow-insecure-bind "
    "(grpc.allow_insecure_bind) because something in front protects it",
    "http.address": "an address that only this machine can reach, or "
    "--allow-insecure-bind (grpc.allow_insecure_bind) because something in front "
    "protects it",
}
"""What an address must be that other machines can reach."""


class SettingsError(Exception):
    """Say everything that is wrong with the settings, one problem a line."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep the problems; none of them holds a secret."""
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@final
class Settings(BaseSettings):
    """Hold everything that can be set; ``Settings()`` holds the defaults."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True
    )

    grpc: GrpcSettings = GrpcSettings()
    """The gRPC door."""
    http: HttpSettings = HttpSettings()
    """The HTTP door."""
    state: StateSettings = StateSettings()
    """What must survive a restart."""
    calendars: CalendarSettings = CalendarSettings()
    """When exchanges are open."""
    transport: TransportSettings = TransportSettings()
    """What vendors may take."""
    retry: RetrySettings = RetrySettings()
    """Trying again."""
    breaker: BreakerSettings = BreakerSettings()
    """Letting a failing vendor rest."""
    actions: ActionsSettings = ActionsSettings()
    """Splits and dividends."""
    cache: CacheSettings = CacheSettings()
    """Bars that are known."""
    hedge: HedgeSettings = HedgeSettings()
    """Slow vendors."""
    stream: StreamSettings = StreamSettings()
    """Live data."""
    jobs: JobSettings = JobSettings()
    """Histories that are downloaded."""
    store: StoreSettings = StoreSettings()
    """Where jobs are kept."""
    report: ReportSettings = ReportSettings()
    """How well callers and vendors were served."""
    quota: QuotaSettings = QuotaSettings()
    """Sharing what vendors allow."""
    registry: RegistrySettings = RegistrySettings()
    """Choosing among vendors."""
    providers: ProvidersSettings = ProvidersSettings()
    """The vendors."""
    log: LogSettings = LogSettings()
    """Log lines."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """Traces, and where they and metrics are sent."""
    discovery: DiscoverySettings = DiscoverySettings()
    """Being found."""
    sandbox: SandboxSettings = SandboxSettings()
    """Simulated vendors."""

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing by itself: our sources can tell where a wrong value stands."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def exposed(self) -> tuple[str, ...]:
        """Name the addresses that other machines can reach with nothing between."""
        if self.grpc.allow_insecure_bind:
            return ()
        plain = {"http.address": self.http.address}
        if self.grpc.tls_certificate_file is None:
            plain["grpc.address"] = self.grpc.address
        return tuple(key for key, address in plain.items() if not is_loopback(address))

    @classmethod
    def of(cls, found: Mapping[str, Found]) -> Self:
        """Build the model of values that were found, and remember where."""
        tables: dict[str, object] = {}
        for key, item in found.items():
            *above, name = key.split(".")
            table = tables
            for part in above:
                inner = table.setdefault(part, {})
                assert isinstance(inner, dict)  # noqa: S101 - no key is a section
                table = inner
            table[name] = item.value
        settings = cls.model_validate(tables)
        origins = {key: item.origin for key, item in found.items()}
        settings._origins = origins  # noqa: SLF001 - our own
        return settings

    def origin(self, key: str) -> str:
        """Tell where a setting comes from: a variable, a file, the command line."""
        return self._origins.get(key, DEFAULT)


FIELDS: Final[Mapping[str, FieldInfo]] = dict(schema.leaves(Settings))
"""Every setting by its dotted key."""


def load_settings(
    *,
    config_file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """
    Load the settings from everywhere.

    Args:
        config_file: The TOML file; by default the one ``INGESTION_CONFIG`` names.
        overrides: What the command line says, as nested tables; None = not said.
        environ: The environment; by default the process's.

    Raises:
        SettingsError: Something is wrong; every problem is named.

    """
    environ = os.environ if environ is None else environ
    if config_file is None and environ.get(CONFIG_VARIABLE):
        config_file = Path(environ[CONFIG_VARIABLE])
    sources = Sources(FIELDS)
    found = {
        **(sources.file(config_file) if config_file is not None else {}),
        **sources.environment(environ),
        **sources.overrides(overrides or {}),
    }
    problems, settings = sources.problems, None
    try:
        settings = Settings.of(_numbers_checked(found, problems))
    except ValidationError as error:
        problems += (
            _problem(entry["loc"], entry.get("ctx", {}).get("error"), found)
            for entry in error.errors(include_url=False, include_input=False)
        )
    else:
        problems += (
            f"{key} ({settings.origin(key)}): expected {_PROTECTED[key]}, "
            f"got '{found[key].value}'"
            for key in settings.exposed()
        )
        problems += unreachable(
            settings.discovery, settings.grpc.address, settings.http.address
        )
        if settings.providers.budgeted():
            # The vendors' modules are heavy, and few change a budget.
            from ingestion_server.app import budgets  # noqa: PLC0415

            problems += budgets.problems(settings)
    # Raised out here, so that no exception with the values in it hangs on to ours.
    if problems or settings is None:
        secrets = [i.value for i in found.values() if isinstance(i.value, SecretStr)]
        told = [_blanked(problem, secrets) for problem in problems]
        raise SettingsError(list(dict.fromkeys(told)))
    return settings


def _numbers_checked(
    found: Mapping[str, Found], problems: list[str]
) -> dict[str, Found]:
    """Refuse true and false where a number is wanted; to Python they are numbers."""
    wrong = [
        key
        for key, item in found.items()
        if isinstance(item.value, bool) and schema.is_number(FIELDS[key])
    ]
    problems += (_wrong_value(key, found[key]) for key in wrong)
    return {key: item for key, item in found.items() if key not in wrong}


def _problem(
    place: Sequence[int | str], cause: object, found: Mapping[str, Found]
) -> str:
    """Tell what the model refused, in the words of whoever wrote it."""
    path = ".".join(map(str, place))
    for key, item in found.items():
        if path == key or path.startswith(f"{key}."):
            rest = place[key.count(".") + 1 :]
            if rest and schema.is_table(FIELDS[key]):
                return _wrong_part(key, item, rest)
            return _wrong_value(key, item)
    inside = [item.origin for key, item in found.items() if key.startswith(f"{path}.")]
    return f"{path} ({', '.join(dict.fromkeys(inside))}): {cause}"


def _wrong_value(key: str, item: Found) -> str:
    field = FIELDS[key]
    told = f"{key} ({item.origin}): expected {schema.expectation(field)}"
    if schema.is_secret(field):
        return told
    return f"{told}, got {quoted(item.value)}"


def _wrong_part(key: str, item: Found, place: Sequence[int | str]) -> str:
    """Tell what is wrong within a table."""
    path = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in place)
    told = f"{key}{path} ({item.origin}):"
    if expected := schema.part(FIELDS[key], place):
        return f"{told} expected {expected}, got {quoted(_within(item.value, place))}"
    hint = schema.guess(str(place[-1]), schema.parts(FIELDS[key]))
    return f"{told} unknown setting{hint}"


def _within(value: object, place: Sequence[int | str]) -> object:
    """Return what stands at a place within tables; None if nothing does."""
    for at in place:
        match value:
            case Mapping():
                value = value.get(at)
            case list() | tuple() if isinstance(at, int):
                value = value[at]
            case _:
                return value
    return value


def _blanked(problem: str, secrets: Sequence[SecretStr]) -> str:
    """Blank a secret that was also written where it does not belong."""
    for secret in secrets:
        if text := secret.get_secret_value():
            problem = problem.replace(text, "********")
    return problem
