"""How the rooms are joined: which budget is in force, and where the ledger is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import Settings, load_settings
from ingestion_server.app.wiring import Joined, joined
from ingestion_server.domain.errors import ProviderUnavailableError
from ingestion_server.policies.breaker import Breaker
from ingestion_server.ports.policy import BreakerPosition
from ingestion_server.ports.quota import AccountUse, Lane
from ingestion_server.ports.routing import BreakerChange
from ingestion_server.quota.journal_file import FILE_NAME
from tests.policies.fakes import Vendor as VendorOnTheWire
from tests.policies.fakes import asked, unavailable
from tests.replay.charts import FIRST_WEEK, keep_chart

ELSEWHERE = Mode(sandbox_url="http://127.0.0.1:1")
"""Simulated vendors that nobody asks here."""
KEY, OTHER = "K3YTHATISSECRET0", "K3YTHATISSECRET1"
PLAN = "INGESTION_SANDBOX__ALPHA_VANTAGE_PLAN"
REAL_PLAN = "INGESTION_PROVIDERS__ALPHA_VANTAGE__PLAN"
BUDGET = "INGESTION_PROVIDERS__ALPHA_VANTAGE__BUDGET__"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Move the user's state folder, and return where the ledger would be."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "ingestion-server"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Keep calendars out of the user's cache."""
    return {"INGESTION_CALENDARS__CACHE_FOLDER": str(tmp_path / "calendars")}


def chosen(environ: Mapping[str, str], **variables: str) -> Settings:
    """Load settings out of variables alone."""
    return load_settings(environ={**environ, **variables})


async def use_of(
    settings: Settings, mode: Mode, vendor: str = "alpha_vantage"
) -> AccountUse:
    """Join the rooms, and look at a vendor's budget."""
    async with joined(settings, mode) as house:
        return next(use for use in house.ledger.uses() if use.provider == vendor)


def limits(use: AccountUse) -> list[tuple[str, int, float]]:
    """Sum up the windows."""
    return [(window.window, window.limit, window.seconds) for window in use.windows]


async def spent(house: Joined, vendor: str = "alpha_vantage") -> None:
    """Let one call leave."""
    account = house.ledger.accounts[vendor]
    debit = await account.reserve("", longest_wait_seconds=0, lane=Lane.INTERACTIVE)
    account.arrived(debit, {})


def identities(folder: Path, vendor: str = "alpha_vantage") -> set[str]:
    """Read which keys of a vendor a ledger tells apart."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as ledger:
        rows = ledger.execute(
            "select identity from credential join vendor on vendor.id = vendor"
            " where provider = ?",
            (vendor,),
        )
        return {identity for (identity,) in rows}


def is_kept(folder: Path) -> bool:
    """Tell whether a folder holds a ledger."""
    return (folder / FILE_NAME).exists()


def contents(folder: Path) -> bytes:
    """Read all that a folder holds."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return b"".join(file.read_bytes() for file in files)


def spoil(folder: Path) -> None:
    """Put rubbish where the ledger should be."""
    folder.mkdir(parents=True)
    (folder / FILE_NAME).write_bytes(b"this is no ledger, by any means " * 99)


@pytest.mark.parametrize(
    ("simulated", "windows"),
    [
        ("free", [("second", 1), ("day", 25)]),
        ("75", [("minute", 75)]),
        ("60per5s", [("pace", 60)]),
    ],
)
async def test_simulated_keys_have_the_plan_that_the_simulation_gives_them(
    environ: dict[str, str], simulated: str, windows: list[tuple[str, int]]
) -> None:
    use = await use_of(chosen(environ, **{PLAN: simulated}), ELSEWHERE)

    assert use.plan == simulated
    assert [(name, limit) for name, limit, _ in limits(use)] == windows


async def test_a_plan_of_ones_own_allows_so_many_calls_in_so_many_seconds(
    environ: dict[str, str],
) -> None:
    use = await use_of(chosen(environ, **{PLAN: "60per5s"}), ELSEWHERE)

    assert limits(use) == [("pace", 60, 5.0)]
    assert use.windows[0].tracked


async def test_a_plan_that_is_set_for_the_vendor_goes_before(
    environ: dict[str, str],
) -> None:
    settings = chosen(environ, **{PLAN: "60per5s", REAL_PLAN: "75"})

    use = await use_of(settings, ELSEWHERE)

    assert (use.plan, limits(use)[0][1]) == ("75", 75)


@pytest.mark.parametrize(("plan", "per_minute"), [("free", 60), ("premium", 300)])
async def test_each_vendor_has_the_plan_that_the_simulation_gives_it(
    environ: dict[str, str], plan: str, per_minute: int
) -> None:
    settings = chosen(environ, **{PLAN: "75", "INGESTION_SANDBOX__FINNHUB_PLAN": plan})

    finnhub = await use_of(settings, ELSEWHERE, "finnhub")
    alpha_vantage = await use_of(settings, ELSEWHERE)

    assert finnhub.plan == plan
    assert limits(finnhub) == [("second", 30, 1.0), ("minute", per_minute, 60.0)]
    assert alpha_vantage.plan == "75"


async def test_real_keys_have_the_vendors_default_plan(environ: dict[str, str]) -> None:
    use = await use_of(chosen(environ, **{PLAN: "75"}), Mode())

    assert use.plan == "free"


async def test_vendors_without_keys_have_their_own_plan_also_if_simulated(
    environ: dict[str, str],
) -> None:
    settings = chosen(environ, **{PLAN: "60per5s"})

    simulated = await use_of(settings, ELSEWHERE, "yahoo")
    real = await use_of(settings, Mode(), "yahoo")

    assert (simulated.plan, limits(simulated)) == (real.plan, limits(real))


@pytest.mark.parametrize("plan", ["75", "60per5s"])
async def test_settings_of_the_budget_hold_for_simulated_plans_too(
    environ: dict[str, str], plan: str
) -> None:
    windows = '[{"name": "hour", "limit": 7, "seconds": 3600}]'
    settings = chosen(
        environ,
        **{PLAN: plan, f"{BUDGET}PRICE_PER_UNIT_USD": "0.5"},
        **{f"{BUDGET}WINDOWS": windows},
    )

    use = await use_of(settings, ELSEWHERE)

    assert use.spend.price_per_unit_usd == Decimal("0.5")
    assert limits(use) == [("hour", 7, 3600.0)]


@pytest.mark.parametrize("mode", [ELSEWHERE, Mode()])
async def test_the_ledger_is_in_the_users_state_folder(
    environ: dict[str, str], state: Path, mode: Mode
) -> None:
    async with joined(chosen(environ), mode):
        pass

    assert is_kept(state)


async def test_an_in_process_sandbox_keeps_no_file(
    environ: dict[str, str], state: Path
) -> None:
    async with joined(chosen(environ), Mode(sandbox=True)) as house:
        await spent(house)

    assert not is_kept(state)


async def test_it_keeps_one_where_a_folder_is_named(
    environ: dict[str, str], state: Path, tmp_path: Path
) -> None:
    named = tmp_path / "named"
    settings = chosen(environ, INGESTION_STATE__FOLDER=str(named))
    async with joined(settings, Mode(sandbox=True)) as house:
        await spent(house, "yahoo")

    use = await use_of(settings, Mode(sandbox=True), "yahoo")

    assert is_kept(named)
    assert not is_kept(state)
    assert use.windows[0].used == 1


async def test_what_simulated_vendors_were_asked_is_none_of_the_real_ones_business(
    environ: dict[str, str], tmp_path: Path
) -> None:
    settings = chosen(environ, INGESTION_STATE__FOLDER=str(tmp_path / "named"))
    async with joined(settings, ELSEWHERE) as house:
        await spent(house, "yahoo")

    used = {
        mode.sandbox_url: (await use_of(settings, mode, "yahoo")).windows[0].used
        for mode in (Mode(), Mode(sandbox_url="http://127.0.0.1:2"), ELSEWHERE)
    }

    assert used == {"": 0, "http://127.0.0.1:2": 0, ELSEWHERE.sandbox_url: 1}


async def test_a_recording_is_metered_by_nobody(
    environ: dict[str, str], state: Path, tmp_path: Path
) -> None:
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    keep_chart(recorded, "one", FIRST_WEEK, 1.0)
    settings = chosen(
        environ,
        **{PLAN: "60per5s", f"{BUDGET}PRICE_PER_UNIT_USD": "0.5"},
        INGESTION_STATE__FOLDER=str(state),
    )

    use = await use_of(settings, Mode(replay=recorded))

    assert (use.plan, limits(use)) == ("recorded", [])
    assert use.spend.price_per_unit_usd == 0
    assert not is_kept(state)


async def test_nobody_is_probed_while_recordings_answer(
    environ: dict[str, str], tmp_path: Path
) -> None:
    keep_chart(tmp_path, "one", FIRST_WEEK, 1.0)

    async with (
        asyncio.timeout(10),
        joined(chosen(environ), Mode(replay=tmp_path)) as house,
    ):
        # It would go on for ever if there were anything to do.
        await house.prober.run()

    assert not house.prober.counts


async def test_keys_are_told_apart_by_what_does_not_tell_them(
    environ: dict[str, str], state: Path
) -> None:
    found = []
    for key in (KEY, OTHER):
        async with joined(chosen(environ, ALPHAVANTAGE_API_KEY=key), Mode()) as house:
            await spent(house)
        found.append(identities(state))

    assert [len(each) for each in found] == [1, 2]
    assert b"K3Y" not in contents(state)


async def test_vendors_without_keys_need_not_tell_them_apart(
    environ: dict[str, str], state: Path
) -> None:
    async with joined(chosen(environ, ALPHAVANTAGE_API_KEY=KEY), Mode()):
        pass

    assert identities(state, "yahoo") == {""}


async def test_another_key_has_windows_of_its_own_and_the_first_is_remembered(
    environ: dict[str, str],
) -> None:
    first, other = (chosen(environ, ALPHAVANTAGE_API_KEY=key) for key in (KEY, OTHER))
    async with joined(first, Mode()) as house:
        await spent(house)

    used = [
        (await use_of(settings, Mode())).windows[-1].used for settings in (other, first)
    ]

    assert used == [0, 1]


async def test_a_ledger_that_is_none_stops_the_start_and_says_what_to_do(
    environ: dict[str, str], state: Path
) -> None:
    spoil(state)

    with pytest.raises(OSError, match=r"ledger\.sqlite3 is corrupt .* restore it"):
        async with joined(chosen(environ), Mode()):
            pass


async def test_a_second_server_is_told_that_there_is_a_first(
    environ: dict[str, str],
) -> None:
    async with joined(chosen(environ), Mode()):
        with pytest.raises(OSError, match="another server uses"):
            async with joined(chosen(environ), Mode()):
                pass


async def test_the_lock_ends_with_the_server_also_if_it_fails(
    environ: dict[str, str], state: Path
) -> None:
    with pytest.raises(LookupError, match="as it is"):
        async with joined(chosen(environ), Mode()):
            raise LookupError("as it is")

    async with joined(chosen(environ), Mode()):
        assert is_kept(state)


async def fail(house: Joined, vendor: str) -> None:
    """Make one call that a vendor fails."""
    with pytest.raises(ProviderUnavailableError):
        await asked(breaker(house, vendor), VendorOnTheWire(unavailable()))


def breaker(house: Joined, vendor: str) -> Breaker:
    """Return what keeps calls for bars of currencies from a vendor."""
    return house.breakers.for_key(vendor, "bars:fx")


async def test_a_vendor_rests_as_its_own_settings_say_and_else_as_all_do(
    environ: dict[str, str],
) -> None:
    settings = chosen(
        environ,
        INGESTION_BREAKER__FAILURES="2",
        INGESTION_BREAKER__REST_SECONDS="7",
        INGESTION_PROVIDERS__YAHOO__BREAKER__FAILURES="1",
        INGESTION_PROVIDERS__YAHOO__BREAKER__LONGEST_REST_SECONDS="9",
    )

    async with joined(settings, ELSEWHERE) as house:
        for vendor in ("yahoo", "alpha_vantage"):
            await fail(house, vendor)
        yahoo, other = (
            breaker(house, vendor).view() for vendor in ("yahoo", "alpha_vantage")
        )

    assert (yahoo.position, yahoo.rest_seconds) == (BreakerPosition.OPEN, 9.0)
    assert (other.position, other.rest_seconds) == (BreakerPosition.CLOSED, 7.0)


async def test_who_wants_to_hears_of_breakers(environ: dict[str, str]) -> None:
    settings = chosen(environ, INGESTION_BREAKER__FAILURES="1")
    heard: list[BreakerChange] = []

    async with joined(settings, ELSEWHERE, on_breaker=[heard.append]) as house:
        await fail(house, "yahoo")

    assert heard == [
        BreakerChange(
            "yahoo", "bars:fx", BreakerPosition.OPEN, "acme answered HTTP 503", 30.0
        )
    ]


@pytest.mark.parametrize(
    ("variables", "ranked"),
    [({}, False), ({"INGESTION_PROVIDERS__ORDER": "yahoo,alpha_vantage"}, True)],
)
async def test_the_order_is_an_operators_choice_only_if_it_was_set(
    *, environ: dict[str, str], variables: dict[str, str], ranked: bool
) -> None:
    async with joined(chosen(environ, **variables), ELSEWHERE) as house:
        listing = house.ranking.listing

    assert listing.ranked is ranked
