"""What is wrong is found before the start, told in plain words, with what to do."""

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from ingestion_server.app.diagnosis import OUR_NAME, Means, diagnose
from ingestion_server.app.findings import (
    Answer,
    Finding,
    LedgerFile,
    Target,
    Verdict,
    clock,
    port,
    reach,
    unfit,
)
from ingestion_server.app.settings import Settings, load_settings
from ingestion_server.quota.journal_file import FILE_NAME

NOW = 1_790_000_000.0
FOLDER = Path("/cache/calendars")
ALPHA_VANTAGE_ONLY = {"ALPHAVANTAGE_API_KEY": "k3y"}
KEYED = {**ALPHA_VANTAGE_ONLY, "FINNHUB_API_KEY": "k3y2"}
UNREACHABLE = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def http_date(seconds: float) -> str:
    """Write a point in time as HTTP does."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def answer(status: int = 200, *, ahead: float = 0.0, server: str = "") -> Answer:
    """Return an answer of somebody whose clock is ahead of ours."""
    return Answer(status, NOW, http_date(NOW + ahead), server)


@dataclass
class World:
    """Be a machine where everything is well unless it is said otherwise."""

    outcomes: dict[str, Answer | OSError] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    read_only: set[Path] = field(default_factory=set)
    tls_error: OSError | None = None
    ledgers: dict[Path, LedgerFile | OSError] = field(default_factory=dict)
    calendar_known: bool = True
    asked: list[Target] = field(default_factory=list)

    def means(self) -> Means:
        """Return the means to look at this world."""
        return Means(
            ask=self._ask,
            listen=self._listen,
            write=self._write,
            load_tls=self._load_tls,
            read_ledger=self._read_ledger,
            calendar=self._calendar,
            now=lambda: NOW,
        )

    async def _ask(self, target: Target) -> Answer:
        self.asked.append(target)
        default = UNREACHABLE if target.name == "ourselves" else answer()
        outcome = self.outcomes.get(target.name, default)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    def _listen(self, address: str) -> None:
        if address in self.taken:
            raise OSError(errno.EADDRINUSE, "Address already in use")

    def _write(self, folder: Path) -> None:
        if folder in self.read_only:
            raise OSError(errno.EROFS, "Read-only file system")

    def _load_tls(self, certificate: Path, key: Path) -> None:
        del certificate, key
        if self.tls_error is not None:
            raise self.tls_error

    def _read_ledger(self, file: Path) -> LedgerFile | None:
        outcome = self.ledgers.get(file)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    async def _calendar(self, name: str) -> bool:
        assert name == "XNYS"
        return self.calendar_known


async def found(
    world: World,
    settings: Settings | None = None,
    *,
    offline: bool = False,
    sandbox_url: str = "",
) -> dict[str, Finding]:
    """Examine a world, and return what was found by its name."""
    findings = await diagnose(
        settings or load_settings(environ=KEYED),
        world.means(),
        calendar_folder=FOLDER,
        offline=offline,
        sandbox_url=sandbox_url,
    )
    by_name = {finding.name: finding for finding in findings}
    assert len(by_name) == len(findings)
    return by_name


async def test_where_all_is_well_every_finding_is_ok() -> None:
    findings = await found(World())

    assert {finding.verdict for finding in findings.values()} == {Verdict.OK}
    assert {finding.advice for finding in findings.values()} == {""}
    assert list(findings) == [
        "settings",
        "alpha_vantage",
        "yahoo",
        "finnhub",
        "iex_cloud",
        "gRPC port",
        "HTTP port",
        "state folder",
        "ledger",
        "calendar folder",
        "calendar",
        "reach alpha_vantage",
        "reach yahoo",
        "reach finnhub",
        "clock",
    ]


async def test_vendors_are_asked_for_their_root_without_a_key() -> None:
    world = World()

    await found(world)

    assert {target.url for target in world.asked if not target.direct} == {
        "https://www.alphavantage.co/",
        "https://query2.finance.yahoo.com/",
        "https://finnhub.io/",
    }


async def test_a_key_is_told_by_its_origin_and_never_shown() -> None:
    findings = await found(World())

    text = findings["alpha_vantage"].text
    assert text == "has a key from ALPHAVANTAGE_API_KEY; plan free"
    assert "k3y" not in str(findings)


async def test_a_missing_key_is_a_warning_that_says_where_to_put_one() -> None:
    findings = await found(World(), load_settings(environ={}))

    assert findings["alpha_vantage"].verdict is Verdict.WARN
    assert "ALPHAVANTAGE_API_KEY_FILE" in findings["alpha_vantage"].advice
    assert "vendors" not in findings


async def test_each_vendor_without_a_key_says_where_to_put_its_own() -> None:
    findings = await found(World(), load_settings(environ=ALPHA_VANTAGE_ONLY))

    assert findings["alpha_vantage"].verdict is Verdict.OK
    assert findings["finnhub"].verdict is Verdict.WARN
    assert "FINNHUB_API_KEY_FILE" in findings["finnhub"].advice


async def test_the_public_key_is_a_warning() -> None:
    settings = load_settings(environ={"ALPHAVANTAGE_API_KEY": "demo"})

    findings = await found(World(), settings)

    assert findings["alpha_vantage"].verdict is Verdict.WARN


async def test_without_anybody_to_ask_the_server_is_useless() -> None:
    settings = load_settings(environ={"INGESTION_PROVIDERS__YAHOO__ENABLED": "no"})

    findings = await found(World(), settings)

    assert findings["vendors"].verdict is Verdict.FAIL
    assert findings["yahoo"].text == "switched off in the settings"
    assert "reach yahoo" not in findings


async def test_offline_nobody_but_this_machine_is_asked() -> None:
    world = World()

    findings = await found(world, offline=True)

    assert [target.name for target in world.asked] == ["ourselves"]
    assert "--offline" in findings["reach"].text
    assert "nobody's to compare" in findings["clock"].text


async def test_with_a_sandbox_only_that_is_asked_and_no_key_is_needed() -> None:
    world = World(outcomes={"sandbox": answer(404)})
    url = "http://127.0.0.1:4123"

    findings = await found(world, load_settings(environ={}), sandbox_url=url)

    assert findings["reach sandbox"].text == "127.0.0.1:4123 answers"
    assert findings["alpha_vantage"].verdict is Verdict.OK
    assert Target("sandbox", url, direct=True) in world.asked
    assert len(world.asked) == 2


async def test_a_vendor_that_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingestion_server.app.diagnosis.PROBE_SECONDS", 0.0)
    world = World()

    async def never(target: Target) -> Answer:
        del target
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(world, "_ask", never)

    findings = await found(world)

    assert findings["reach yahoo"].verdict is Verdict.WARN
    assert "does not answer within" in findings["reach yahoo"].text


async def test_a_port_taken_by_another_program_stops_the_server() -> None:
    findings = await found(World(taken={"127.0.0.1:50051"}))

    assert findings["gRPC port"].verdict is Verdict.FAIL
    assert "another program" in findings["gRPC port"].text
    assert findings["HTTP port"].verdict is Verdict.OK


async def test_a_port_taken_by_a_running_server_is_fine() -> None:
    world = World(
        outcomes={"ourselves": answer(503, server=OUR_NAME)},
        taken={"127.0.0.1:50051", "127.0.0.1:8080"},
    )

    findings = await found(world)

    for name in ("gRPC port", "HTTP port"):
        assert findings[name].verdict is Verdict.OK
        assert "a server runs already" in findings[name].text


async def test_folders_that_cannot_be_written_are_told() -> None:
    settings = load_settings(environ={}, overrides={"state": {"folder": "/state"}})

    findings = await found(World(read_only={FOLDER, Path("/state")}), settings)

    assert findings["state folder"].verdict is Verdict.FAIL
    assert findings["calendar folder"].verdict is Verdict.WARN
    assert "Read-only file system" in findings["state folder"].text
    assert "state.folder" in findings["state folder"].advice


async def ledger_found(outcome: LedgerFile | OSError | None) -> Finding:
    """Return what is found of a ledger within the state folder."""
    settings = load_settings(environ={}, overrides={"state": {"folder": "/state"}})
    place = Path("/state") / FILE_NAME
    world = World(ledgers={} if outcome is None else {place: outcome})

    finding = (await found(world, settings))["ledger"]

    assert finding.text.startswith("/state/ledger.sqlite3 ")
    return finding


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (None, "will be made"),
        (LedgerFile(1_234_567), "is whole, 1,234,567 bytes"),
        (LedgerFile(4096, unread="is in use"), "is in use, 4,096 bytes"),
    ],
)
async def test_a_ledger_that_is_whole_or_not_there_is_fine(
    outcome: LedgerFile | None, words: str
) -> None:
    finding = await ledger_found(outcome)

    assert finding.verdict is Verdict.OK
    assert finding.text.endswith(words)
    assert finding.advice == ""


async def test_a_damaged_ledger_is_told_with_what_moving_it_away_costs() -> None:
    finding = await ledger_found(LedgerFile(4096, "file is not a database"))

    assert finding.verdict is Verdict.FAIL
    assert "file is not a database" in finding.text
    assert "restore it, or move it away" in finding.advice
    assert "refuse calls" in finding.advice


async def test_a_ledger_that_may_not_be_read_stops_the_start() -> None:
    finding = await ledger_found(PermissionError(errno.EACCES, "Permission denied"))

    assert finding.verdict is Verdict.FAIL
    assert "Permission denied" in finding.text
    assert "read and write" in finding.advice


async def test_a_calendar_that_cannot_be_computed_is_a_warning() -> None:
    findings = await found(World(calendar_known=False))

    assert findings["calendar"].verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(None, Verdict.OK), (FileNotFoundError(2, "No such file"), Verdict.FAIL)],
)
async def test_certificates_are_tried(error: OSError | None, verdict: Verdict) -> None:
    tls = {"tls_certificate_file": "c.pem", "tls_key_file": "k.pem"}
    settings = load_settings(environ={}, overrides={"grpc": tls})

    findings = await found(World(tls_error=error), settings)

    assert findings["TLS"].verdict is verdict


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "does not answer within 5 s"),
        (socket.gaierror(-2, "Name or service not known"), "its name is not known"),
        (UNREACHABLE, "refuses connections"),
        (OSError("Tunnel connection failed: 407"), "Tunnel connection failed: 407"),
        (OSError(), "cannot be reached: OSError"),
    ],
)
def test_why_somebody_cannot_be_reached_is_told(error: OSError, words: str) -> None:
    finding = reach(Target("yahoo", "https://host/"), error)

    assert finding.verdict is Verdict.WARN
    assert finding.text.startswith("host ")
    assert words in finding.text
    assert finding.advice


def test_a_foreign_certificate_is_told_with_its_reason() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate in certificate chain"

    finding = reach(Target("yahoo", "https://host/"), error)

    assert "self-signed certificate" in finding.text
    assert "SSL_CERT_FILE" in finding.advice


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.OK),
        (302, Verdict.OK),
        (404, Verdict.OK),
        (403, Verdict.WARN),
        (429, Verdict.WARN),
        (502, Verdict.WARN),
    ],
)
def test_any_answer_but_a_refusal_proves_the_way(status: int, verdict: Verdict) -> None:
    finding = reach(Target("yahoo", "https://host/"), answer(status))

    assert finding.verdict is verdict


@pytest.mark.parametrize(
    ("offsets", "verdict", "words"),
    [
        ([0.0], Verdict.OK, "agrees"),
        ([5.0, -700.0], Verdict.OK, "agrees"),
        ([6.0], Verdict.WARN, "6 s behind"),
        ([-90.0, 700.0], Verdict.WARN, "90 s ahead"),
        ([], Verdict.OK, "plausible"),
    ],
)
def test_the_clock_is_compared_with_whoever_is_nearest(
    offsets: list[float], verdict: Verdict, words: str
) -> None:
    finding = clock([answer(ahead=offset) for offset in offsets], NOW)

    assert finding.verdict is verdict
    assert words in finding.text


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Foo 2026 00:00:00 GMT"])
def test_a_date_that_is_none_tells_nothing(date: str) -> None:
    assert "plausible" in clock([Answer(200, NOW, date)], NOW).text


def test_a_clock_that_was_never_set_is_no_base_for_anything() -> None:
    assert clock([], 3600.0).verdict is Verdict.FAIL


def test_a_port_that_may_not_be_used_is_told() -> None:
    denied = PermissionError(errno.EACCES, "Permission denied")

    finding = port("gRPC port", "127.0.0.1:80", denied, ours=False)

    assert finding.verdict is Verdict.FAIL
    assert "Permission denied" in finding.text


def test_a_wrong_setting_stops_the_start() -> None:
    assert unfit("log.level: …").verdict is Verdict.FAIL
