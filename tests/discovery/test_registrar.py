"""An entry is there whenever an etcd is, and nothing that an etcd does is fatal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from ingestion_server.discovery import etcd
from ingestion_server.discovery.conversation import Conversation, Login
from ingestion_server.discovery.registrar import Registrar, RegistrarLimits
from ingestion_server.ports.http import HttpResponse
from tests.clocks import ManualClock
from tests.discovery.fakes import PASSWORD, FakeEtcd

ENTRY = etcd.entry("market", "10.0.0.5:50051", {})
LEASE_SECONDS = 15
BEAT_SECONDS = 5.0


class House:
    """Hold a registrar and what is around it."""

    def __init__(self, *hosts: str) -> None:
        """Set up, without running."""
        self.fake = FakeEtcd()
        self.clock = ManualClock(runs=False)
        talk = Conversation(
            self.fake,
            [f"http://{host}" for host in hosts or ("a",)],
            Login("server", PASSWORD),
            timeout_seconds=2.0,
        )
        self.registrar = Registrar(talk, self.clock, lambda: 1.0, RegistrarLimits())

    @property
    def there(self) -> bool:
        """Return whether etcd has the entry."""
        return self.fake.entries.get(ENTRY.key, ("", 0))[0] == ENTRY.value

    def paths(self) -> Sequence[str]:
        """Return what was asked since the last time."""
        asked = [path for _, path in self.fake.asked if path != "auth/authenticate"]
        self.fake.asked.clear()
        return asked

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run until the block ends."""
        task = asyncio.create_task(self.registrar.run(ENTRY))
        try:
            await self.clock.advance(0)
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))
            assert task.cancelled()


async def test_it_is_registered_at_once_and_kept_so() -> None:
    house = House()
    async with house.running():
        assert house.there
        assert house.registrar.registered
        assert house.paths() == ["lease/grant", "kv/txn"]

        await house.clock.advance(BEAT_SECONDS)

        assert house.paths() == ["lease/keepalive", "kv/txn"]
        assert house.registrar.registrations == 1
        assert set(house.registrar.failures.values()) == {0}


async def test_it_is_not_called_registered_once_the_lease_must_have_ended() -> None:
    house = House()
    async with house.running():
        house.fake.away.add("a")

        await house.clock.advance(LEASE_SECONDS - 0.1)
        before = house.registrar.registered
        await house.clock.advance(0.2)

        assert (before, house.registrar.registered) == (True, False)
        assert house.registrar.failures["unavailable"] > 0


async def test_pauses_grow_up_to_a_limit_and_are_forgiven() -> None:
    house = House()
    house.fake.away.add("a")
    async with house.running():
        await house.clock.advance(60)
        assert house.clock.slept[:7] == [0.5, 1, 2, 4, 8, 15, 15]

        house.fake.away.clear()
        await house.clock.advance(15)
        assert house.there
        house.fake.away.add("a")
        house.clock.slept.clear()
        await house.clock.advance(BEAT_SECONDS)

        pauses = [each for each in house.clock.slept if each != BEAT_SECONDS]
        assert pauses[:2] == [0.5, 1]


async def test_pauses_are_drawn_from_nothing_up() -> None:
    fake, clock = FakeEtcd(), ManualClock(runs=False)
    fake.away.add("a")
    draws = iter((0.5, 0.25, 0.0))
    registrar = Registrar(
        Conversation(fake, ["http://a"], Login(), timeout_seconds=1.0),
        clock,
        lambda: next(draws, 1.0),
        RegistrarLimits(),
    )
    task = asyncio.create_task(registrar.run(ENTRY))
    await clock.advance(1.0)
    task.cancel()

    assert clock.slept == [0.25, 0.25, 0.0, 4.0]


@pytest.mark.parametrize("what", ["revoked", "deleted", "overwritten", "forgotten"])
async def test_whatever_became_of_the_entry_is_undone(what: str) -> None:
    house = House()
    async with house.running():
        match what:
            case "revoked":
                house.fake.leases.clear()
                house.fake.entries.clear()
            case "deleted":
                house.fake.entries.clear()
            case "overwritten":
                house.fake.entries[ENTRY.key] = ("another's", 1)
            case _:
                house.fake.password = PASSWORD
                house.fake.restart()

        await house.clock.advance(BEAT_SECONDS + 0.5)

        assert house.there
        assert house.registrar.registered
        assert house.registrar.registrations == 2


async def test_who_takes_the_entry_again_and_again_is_told_of_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    house = House()
    async with house.running():
        for _ in range(24):
            house.fake.entries[ENTRY.key] = ("another's", 1)
            await house.clock.advance(BEAT_SECONDS)

    assert house.registrar.failures["entry_lost"] == 24
    first, *later = caplog.messages
    assert first == f"registered at etcd as {ENTRY.key}"
    assert len(later) == 2
    for message in later:
        assert message.startswith(f"etcd had lost {ENTRY.key}, or another server had")


async def test_a_lease_that_ends_between_two_questions_is_replaced() -> None:
    house = House()
    async with house.running():
        kept = house.fake.leases.copy()
        house.fake.entries.clear()
        # It is kept alive, and then unknown to the transaction.
        house.fake.rubbish["a"] = HttpResponse(
            404, b'{"message": "etcdserver: requested lease not found", "code": 5}'
        )
        await house.clock.advance(BEAT_SECONDS)
        assert not house.registrar.registered
        house.fake.rubbish.clear()
        await house.clock.advance(0.5)

        assert house.there
        assert house.fake.leases.keys() > kept.keys()
        assert house.registrar.failures["lease_lost"] == 1


async def test_a_wrong_password_is_tried_again_with_the_lease_there_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    async with house.running():
        lease = list(house.fake.leases)
        house.fake.password = "other-than-ours"
        await house.clock.advance(600)
        assert house.registrar.failures["refused"] > 3
        assert PASSWORD not in caplog.text

        house.fake.password = PASSWORD
        await house.clock.advance(15)

        assert house.registrar.registered
        assert list(house.fake.leases) == lease


@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse(200, b""),
        HttpResponse(200, b"{}"),
        HttpResponse(200, b'{"ID": "1", "TTL": "99999999999999999999"}'),
        HttpResponse(200, b"\xff" * 65_536),
        HttpResponse(307, b""),
        HttpResponse(500, b'{"message": "panic", "code": 2}'),
        HttpResponse(418, b'{"message": ["teapot"]}'),
    ],
    ids=["nothing", "empty", "endless", "binary", "elsewhere", "broken", "teapot"],
)
async def test_rubbish_is_a_failure_like_any_other(answer: HttpResponse) -> None:
    house = House()
    house.fake.rubbish["a"] = answer
    async with house.running():
        await house.clock.advance(60)
        assert not house.registrar.registered
        house.fake.rubbish.clear()
        await house.clock.advance(15)

        assert house.registrar.registered


async def test_a_defect_of_ours_is_counted_and_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House()

    def broken(seconds: int) -> object:
        raise ValueError(f"secret of {seconds}")

    with monkeypatch.context() as patch:
        patch.setattr(etcd, "grant", broken)
        async with house.running():
            await house.clock.advance(60)
            assert house.registrar.failures["failed"] > 3
            assert caplog.messages[0] == "registering failed: ValueError"

            patch.undo()
            await house.clock.advance(15)

            assert house.registrar.registered


async def test_an_hour_of_failures_is_an_hour_of_a_line_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    house = House()
    house.fake.away.add("a")
    async with house.running():
        await house.clock.advance(3600)

    assert 50 < len(caplog.messages) <= 61
    assert caplog.messages[0] == "registering failed: etcd cannot be reached"


async def test_to_leave_takes_the_entry_away() -> None:
    house = House()
    async with house.running():
        pass

    await house.registrar.leave()

    assert not house.fake.entries
    assert not house.fake.leases
    assert not house.registrar.registered


async def test_who_was_never_registered_leaves_without_a_word() -> None:
    house = House()
    house.fake.away.add("a")
    async with house.running():
        pass
    house.paths()

    await house.registrar.leave()

    assert house.paths() == []


async def test_who_cannot_leave_says_for_how_long_the_entry_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    async with house.running():
        pass
    house.fake.away.add("a")

    await house.registrar.leave()

    assert caplog.messages == [
        "not deregistered, so the entry stays for up to 15 s: etcd cannot be reached"
    ]


async def test_to_leave_when_the_lease_has_ended_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    async with house.running():
        pass
    house.fake.restart()

    await house.registrar.leave()

    assert caplog.messages == []


async def test_to_leave_takes_a_bounded_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hangs = asyncio.Event()

    class Hanging(FakeEtcd):
        async def __call__(self, *args: object, **more: object) -> HttpResponse:
            if hangs.is_set():
                await asyncio.Event().wait()
            return await super().__call__(*args, **more)  # type: ignore[arg-type]

    clock = ManualClock(runs=False)
    registrar = Registrar(
        Conversation(Hanging(), ["http://a"], Login(), timeout_seconds=2.0),
        clock,
        lambda: 1.0,
        RegistrarLimits(leave_seconds=0.01),
    )
    task = asyncio.create_task(registrar.run(ENTRY))
    await clock.advance(0)
    assert registrar.registered
    task.cancel()
    hangs.set()

    async with asyncio.timeout(30):
        await registrar.leave()

    assert caplog.messages[-1].endswith(": etcd did not answer within 0.01 s")
    assert registrar.failures["unavailable"] == 1
