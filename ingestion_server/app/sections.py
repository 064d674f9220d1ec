"""What can be set, section by section: units, limits, and why the default is so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from ingestion_server.app import folders
from ingestion_server.app.words import (
    Address,
    AsText,
    Count,
    DatabaseUrl,
    Expected,
    HostNames,
    OperatorToken,
    Place,
    Seconds,
    Unset,
)

_CHOSEN = r"[1-9][0-9]{0,4}per[1-9][0-9]{0,4}s"
_CHOSEN_WORDS = "or CALLSperSECONDSs such as 60per5s, both from 1 to 99999"
Lasting = Annotated[float, Field(ge=0, allow_inf_nan=False), Expected("a number ≥ 0")]
"""A length of time that may be nothing."""
SandboxPlan = Annotated[
    str,
    AsText,
    Field(pattern=rf"^(?:free|75|150|300|600|1200|{_CHOSEN})$"),
    Expected(f"one of free, 75, 150, 300, 600, 1200, {_CHOSEN_WORDS}"),
]
"""As the sandbox has it; asking that would load all of it at every start."""
SandboxFinnhubPlan = Annotated[
    str,
    Field(pattern=rf"^(?:free|premium|{_CHOSEN})$"),
    Expected(f"one of free, premium, {_CHOSEN_WORDS}"),
]
"""As the sandbox has it."""
IntradayLabel = Literal["start", "end"]


class Section(BaseModel):
    """Group settings that belong together; nothing changes after the start."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class GrpcSettings(Section):
    """Set up the gRPC door."""

    address: Address = "127.0.0.1:50051"
    """Where it listens; by default only this machine can reach it."""
    tls_certificate_file: Annotated[Place | None, Unset("no TLS")] = None
    """Certificate chain in PEM; with its key, and only then, the door speaks TLS."""
    tls_key_file: Annotated[Place | None, Unset("no TLS")] = None
    """Private key in PEM, not encrypted."""
    allow_insecure_bind: bool = False
    """Let other machines in without TLS, for example behind a proxy that has it."""
    max_concurrent_calls: Count = 256
    """Calls inside at a time; more are refused at once rather than queued."""
    max_streams: Annotated[
        int, Field(ge=1, le=10_000), Expected("an integer from 1 to 10000")
    ] = 2_048
    """Streams of live data at a time, apart from calls; more are refused at once."""
    symbols_at_once: Count = 8
    """Symbols of one ``FetchBatch`` under way at a time, so that none takes all."""
    drain_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """How long calls may go on after the stop signal; orchestrators kill after 30."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.tls_certificate_file is None) is not (self.tls_key_file is None):
            raise ValueError(
                "expected both of tls_certificate_file and tls_key_file, or neither"
            )
        return self


class HttpSettings(Section):
    """Set up the HTTP door: health, metrics and the console."""

    address: Address = "127.0.0.1:8080"
    """Where it listens; by default only this machine can reach it."""
    console: bool = True
    """Whether the console is served, with the calls behind it; the rest always is."""
    names: HostNames = ()
    """What browsers may call it, beside ``localhost`` and addresses."""
    operator_token: OperatorToken = SecretStr("")
    """With it the console may change something; by default it only reads."""


class StateSettings(Section):
    """Keep what must survive a restart."""

    folder: Annotated[Place | None, Unset("the user's state folder")] = None
    """Where; by default the user's state folder (``$XDG_STATE_HOME``)."""

    def place(self) -> Path:
        """Return the folder that is meant; it may not exist yet."""
        return self.folder or folders.user_state_folder()


class StoreSettings(Section):
    """Keep what is known of jobs; their bars are files in the state folder anyway."""

    url: Annotated[DatabaseUrl | None, Unset("a file in the state folder")] = None
    """
    A PostgreSQL, with its password; by default SQLite in a file.

    It needs asyncpg, which ``pip install ingestion-server[postgres]`` brings.
    """


class CalendarSettings(Section):
    """Know when exchanges are open."""

    cache_folder: Annotated[Place | None, Unset("the user's cache folder")] = None
    """Where computed ones are kept; by default the user's (``$XDG_CACHE_HOME``)."""


class TransportSettings(Section):
    """Bound what vendors may take."""

    call_seconds: Seconds = 10.0
    """The longest that one call of a vendor may take."""
    body_bytes: Count = 64 * 1024 * 1024
    """The largest body, decompressed; 20 years of minutes fit."""
    connections: Count = 64
    """Open at a time to all vendors; more exchanges wait for one."""
    connections_per_host: Count = 16
    """Open at a time to one host, so that none takes all."""


class RetrySettings(Section):
    """Try a call again after a failure that may pass."""

    attempts: Count = 3
    """How often it is tried in all; 1 = never again."""
    first_seconds: Seconds = 0.1
    """The longest pause after the first try; doubled after each."""
    longest_seconds: Seconds = 2.0
    """The longest pause of our own choice."""


class BreakerSettings(Section):
    """Let a failing vendor rest."""

    failures: Count = 5
    """How many questions in a row, all tries of each, open the breaker."""
    rest_seconds: Seconds = 30.0
    """How long it stays open until one probe is let through; doubled if that fails."""
    longest_rest_seconds: Seconds = 300.0
    """What doubling leads to; a longer first rest stays as it is."""


class ActionsSettings(Section):
    """Remember splits and dividends."""

    cache_entries: Count = 4096
    """Instruments remembered; a few kilobytes each."""
    cache_seconds: Seconds = 21_600.0
    """How long; a new split is known a quarter of a day later at most."""


class CacheSettings(Section):
    """Remember bars, so that nobody is asked twice for what cannot change."""

    enabled: bool = True
    """Whether bars are kept; requests that want the same at once share calls anyway."""
    memory_bytes: Count = 256 * 1024 * 1024
    """The most in memory, some 60 bytes a bar; what was used longest ago goes first."""
    encoded_bytes: Count = 64 * 1024 * 1024
    """The most of answers as they are sent, beside the bars."""
    file_bytes: Count = 4 * 1024 * 1024 * 1024
    """The most in the file in the state folder that survives a restart."""
    forming_seconds: Lasting = 5.0
    """How long a bar that can still change is as good as asking; 0 = never."""
    absent_seconds: Lasting = 60.0
    """How long an unknown symbol, or a bar that a vendor lacks, is not asked again."""
    quote_seconds: Lasting = 1.0
    """How long a vendor's latest quote is as good as asking again; 0 = never."""


class HedgeSettings(Section):
    """Ask another vendor as well when one is slow."""

    share: Annotated[
        float,
        Field(ge=0, le=1, allow_inf_nan=False),
        Expected("a number from 0 to 1"),
    ] = 0.05
    """Extra calls at most, of all, some of them saved up; 0 = none."""
    longest_delay_seconds: Seconds = 1.0
    """How long a vendor is waited for at most; less if it is usually quicker."""


class QuotaSettings(Section):
    """Share what vendors allow."""

    interactive_share: Annotated[
        float,
        Field(ge=0, le=0.9, allow_inf_nan=False),
        Expected("a number from 0 to 0.9"),
    ] = 0.1
    """Share of each window that batch calls can never take."""


class RegistrySettings(Section):
    """Choose among vendors that could all answer."""

    seed: Annotated[int | None, Unset("another one at each start")] = None
    """With the same seed, the same draws among vendors that share the load."""
    probe_seconds: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False),
        Expected("a number of seconds; 0 = never"),
    ] = 300.0
    """
    A vendor that nobody has asked for so long is asked by the server; 0 = never.

    It is asked for a few bars of what was asked last, but only if that costs nothing
    and half of its quota is left, of 1,000 calls a day at least.
    """


class LogSettings(Section):
    """Write log lines, to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written."""
    format: Literal["text", "json"] = "text"
    """For people, or for collectors."""


class SandboxSettings(Section):
    """Simulate vendors; only used when the sandbox is asked for."""

    seed: int = 7
    """Another seed is another market."""
    alpha_vantage_plan: SandboxPlan = "1200"
    """Plan of a key whose ending names none; ``abc-free`` and ``abc-60per5s`` do."""
    free_full: bool = True
    """Whether the free plan may ask for a whole history."""
    alpha_vantage_label: IntradayLabel = "start"
    """Which end of an intraday bar its stamp names; the vendor used both."""
    yahoo_per_second: Count = 5
    """Requests that one client address may make in any second."""
    finnhub_plan: SandboxFinnhubPlan = "premium"
    """Plan of a Finnhub key whose ending names none; ``free`` has no bars."""
    iex_cloud_messages: Count = 5_000_000
    """Messages a month of an IEX Cloud key; ``abc-500`` has 500."""
    trades_per_second: Annotated[
        float,
        Field(ge=0.01, le=1000, allow_inf_nan=False),
        Expected("a number from 0.01 to 1000"),
    ] = 2.0
    """How often each instrument trades on average, for streams and past trades."""
    finnhub_ping_seconds: Annotated[
        float,
        Field(gt=0, allow_inf_nan=False),
        Expected("a number of seconds above 0"),
    ] = 60.0
    """Silence of a stream of Finnhub's that ends with a ping as text."""
