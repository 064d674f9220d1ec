"""Sessions on demand, with a child process that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion_server.calendars import ComputedCalendars, archive
from tests.calendars.fakes import LIBRARY, FakePython, Hands, encoded, label, made_up


@pytest.fixture
def make(
    tmp_path: Path, python: FakePython, hands: Hands
) -> Callable[..., ComputedCalendars]:
    """Make calendars with the fake interpreter and the clocks moved by hand."""

    def build(folder: Path = tmp_path / "cache", **more: float) -> ComputedCalendars:
        return ComputedCalendars(
            folder,
            python=python.path,
            monotonic=hands.monotonic,
            now_ns=hands.now_ns,
            **more,
        )

    return build


def cached(tmp_path: Path, name: str = "XNYS") -> Path:
    """Name the file in the cache."""
    return tmp_path / "cache" / archive.file_name(name, LIBRARY)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has buried yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other processes bring about."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nobody here could set an event
            await asyncio.sleep(0.01)


async def called(python: FakePython, times: int = 1) -> list[tuple[str, int]]:
    """Wait until the interpreter was started so many times."""
    await until(lambda: len(python.calls()) >= times)
    return python.calls()


async def test_memory_then_folder_then_child(
    make, python: FakePython, tmp_path: Path
) -> None:
    """A child computes once; then memory answers, and after a restart the folder."""
    python.answers(encoded(made_up()))
    async with make() as calendars:
        assert calendars.known("XNYS") is None
        first = await calendars.sessions("XNYS")
        assert first is not None
        assert first.zone == "America/New_York"
        assert await calendars.sessions("XNYS") is first
        assert calendars.known("XNYS") is first
    async with make() as calendars:
        assert await calendars.sessions("XNYS") is not None
    assert len(python.calls()) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [
        cached(tmp_path).name
    ]


async def test_a_hundred_callers_one_child(make, python: FakePython) -> None:
    """Callers at the same time share one computation and one answer."""
    python.answers(encoded(made_up()), after=0.1)
    async with make() as calendars, asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(calendars.sessions("XNYS")) for _ in range(100)]
    answers = {id(task.result()) for task in asked}
    assert len(answers) == 1
    assert asked[0].result() is not None
    assert len(python.calls()) == 1


async def test_a_cancelled_caller_cancels_nobody(make, python: FakePython) -> None:
    """The computation goes on when the caller that began it has gone."""
    python.answers(encoded(made_up()), after=0.2)
    async with make() as calendars:
        leader = asyncio.create_task(calendars.sessions("XNYS"))
        await called(python)
        follower = asyncio.create_task(calendars.sessions("XNYS"))
        await asyncio.sleep(0)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        assert await follower is not None
    assert len(python.calls()) == 1


async def test_at_most_two_children(make, python: FakePython) -> None:
    """A third computation waits for a place."""
    python.does("sleep 30")
    async with make() as calendars:
        names = ("XNYS", "XTKS", "XHKG", "XLON")
        asked = [asyncio.create_task(calendars.sessions(name)) for name in names]
        await called(python, 2)
        # That nothing happens cannot be waited for; a third would start at once.
        await asyncio.sleep(0.1)
        assert len(python.calls()) == 2
    assert [await task for task in asked] == [None] * 4


async def test_closing_kills_at_once(make, python: FakePython) -> None:
    """On leaving, the child and what it started die, and callers get an answer."""
    python.does(f"sleep 30 & echo x $! >> {python.folder}/calls; wait")
    async with make() as calendars:
        asked = asyncio.create_task(calendars.sessions("XNYS"))
        (_, child), (_, grandchild) = await called(python, 2)
        begun = time.monotonic()
    assert time.monotonic() - begun < 1
    assert await asked is None
    await until(lambda: not alive(child) and not alive(grandchild))
    assert await calendars.sessions("XNYS") is None  # closed: no new child
    assert len(python.calls()) == 2


async def test_closing_before_anything_began(make, python: FakePython) -> None:
    """A search that is cancelled before its first step still answers."""
    async with make() as calendars:
        asked = asyncio.create_task(calendars.sessions("XNYS"))
        await asyncio.sleep(0)
    assert await asked is None
    assert python.calls() == []


async def test_outside_of_async_with(make) -> None:
    """Whoever forgets `async with` is told."""
    with pytest.raises(RuntimeError, match="async with"):
        await make().sessions("XNYS")


async def test_failures_are_told_once_and_retried(
    make, python: FakePython, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure is remembered for a minute, and warned of the first time."""
    async with make() as calendars:
        assert await calendars.sessions("XNYS") is None
        hands.seconds += 59
        assert await calendars.sessions("XNYS") is None
        assert len(python.calls()) == 1
        hands.seconds += 1
        assert await calendars.sessions("XNYS") is None
        assert len(python.calls()) == 2
        hands.seconds += 60
        python.answers(encoded(made_up()))
        assert await calendars.sessions("XNYS") is not None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "KeyError: boom" in record.getMessage()
    assert "compute XNYS out.npz" in record.getMessage()


async def test_unknown_calendars_stay_unknown(
    make, python: FakePython, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    """A calendar that the library does not know is not asked for again."""
    python.does("exit 3")
    async with make() as calendars:
        assert await calendars.sessions("BOGUS") is None
        hands.seconds += 1e6
        assert await calendars.sessions("BOGUS") is None
    assert len(python.calls()) == 1
    (record,) = caplog.records
    assert "check its name" in record.getMessage()


@pytest.mark.parametrize(
    "name", ["", "X NYS", "a\0b", "ä", "XNYS\n", "$(id)", "~", "X" * 65, "a\\b"]
)
async def test_impossible_names_start_nothing(
    make, python: FakePython, name: str
) -> None:
    """Names that no calendar can have reach neither disk nor command line."""
    async with make() as calendars:
        assert await calendars.sessions(name) is None
    assert python.calls() == []


async def test_names_do_not_leave_the_folder(
    make, python: FakePython, tmp_path: Path
) -> None:
    """A name that looks like a path is a file of the folder like others."""
    name = "../../escaped"
    python.answers(encoded(made_up(name)))
    async with make() as calendars:
        assert await calendars.sessions(name) is not None
    found = await asyncio.to_thread(lambda: sorted(tmp_path.rglob("*.npz")))
    assert found == [cached(tmp_path, name)]


async def test_made_up_names_do_not_fill_the_memory(
    make, python: FakePython, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so many names without an answer are remembered."""
    monkeypatch.setattr("ingestion_server.calendars.computed._REMEMBERED", 3)
    python.does("exit 3")
    async with make() as calendars:
        for i in range(5):
            await calendars.sessions(f"BOGUS{i}")
        assert len(calendars._retry_at) == 3  # noqa: SLF001
        assert await calendars.sessions("BOGUS4") is None
        assert len(python.calls()) == 5


async def test_slow_children_are_killed(
    make, python: FakePython, caplog: pytest.LogCaptureFixture
) -> None:
    """A child that takes too long is a failure, and is dead."""
    python.does("sleep 30")
    async with make(child_seconds=0.2) as calendars:
        assert await calendars.sessions("XNYS") is None
    assert "no answer within 0.2 s" in caplog.text
    ((_, pid),) = python.calls()
    await until(lambda: not alive(pid))


async def test_missing_interpreter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An interpreter that is not there is a failure like others."""
    async with ComputedCalendars(tmp_path, python="/no/python") as calendars:
        assert await calendars.sessions("XNYS") is None
    assert "cannot run /no/python" in caplog.text


async def test_a_bug_reaches_the_callers(make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody expects is raised to those who asked, and blocks nothing."""

    def burst(*_: object) -> None:
        """Fail as no code should."""
        raise ZeroDivisionError

    monkeypatch.setattr(archive, "file_name", burst)
    async with make() as calendars:
        with pytest.raises(ZeroDivisionError):
            await calendars.sessions("XNYS")
        assert await calendars.sessions("XNYS") is None


@pytest.mark.parametrize("bad", [b"", b"junk", None, encoded(made_up("XTKS"))])
async def test_bad_files_are_computed_again(
    make, python: FakePython, tmp_path: Path, bad: bytes | None
) -> None:
    """A damaged, truncated or foreign file is replaced."""
    good = encoded(made_up())
    path = cached(tmp_path)
    path.parent.mkdir()
    path.write_bytes(good[: len(good) // 2] if bad is None else bad)
    python.answers(good)
    async with make() as calendars:
        assert await calendars.sessions("XNYS") is not None
    assert len(python.calls()) == 1
    assert path.read_bytes() == good


async def test_bad_answers_are_failures(
    make, python: FakePython, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a child says is checked before it is believed or kept."""
    python.answers(encoded(made_up())[:-30])
    async with make() as calendars:
        assert await calendars.sessions("XNYS") is None
    assert not cached(tmp_path).exists()
    assert "unreadable" in caplog.text


async def test_an_unwritable_folder_is_no_obstacle(
    make, python: FakePython, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a folder everything works, and one warning says what to do."""
    (tmp_path / "file").write_text("in the way")
    async with make(tmp_path / "file") as calendars:
        for name in ("XNYS", "XTKS"):
            python.answers(encoded(made_up(name)))
            assert await calendars.sessions(name) is not None
            await until(lambda: not calendars._writers)  # noqa: SLF001
            assert calendars.known(name) is not None
    (record,) = caplog.records
    assert "make the folder writable" in record.getMessage()


async def test_a_full_disk_is_no_obstacle(
    make,
    python: FakePython,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A disk that is full costs the file, not the answer."""

    def full(*_: object) -> None:
        """Fail as a full disk does."""
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "write", full)
    python.answers(encoded(made_up()))
    async with make() as calendars:
        assert await calendars.sessions("XNYS") is not None
    assert "No space left" in caplog.text


@pytest.mark.parametrize("where", ["memory", "folder"])
async def test_old_answers_serve_until_the_new_one(
    make, python: FakePython, hands: Hands, tmp_path: Path, where: str
) -> None:
    """An answer with less than half a year left is served while it is replaced."""
    python.answers(encoded(made_up(until="2026-01-10")))
    async with make() as calendars:
        if where == "memory":
            await calendars.sessions("XNYS")
        else:
            cached(tmp_path).parent.mkdir()
            cached(tmp_path).write_bytes(encoded(made_up(until="2026-01-10")))
        before = len(python.calls())
        hands.ns = label("2025-09-01")
        python.answers(encoded(made_up(until="2026-09-02")), after=0.1)
        old = await calendars.sessions("XNYS")
        assert old is not None
        assert old.covers_until_ns == label("2026-01-10")
        await until(lambda: not calendars._flights)  # noqa: SLF001
        new = await calendars.sessions("XNYS")
        assert new is not None
        assert new.covers_until_ns == label("2026-09-02")
        assert len(python.calls()) == before + 1


async def test_outdated_answers_are_waited_for(
    make, python: FakePython, hands: Hands, tmp_path: Path
) -> None:
    """An answer that says nothing about today is served only if there is no other."""
    cached(tmp_path).parent.mkdir()
    cached(tmp_path).write_bytes(encoded(made_up(until="2026-01-10")))
    hands.ns = label("2026-02-01")
    async with make() as calendars:
        kept = await calendars.sessions("XNYS")  # the child fails
        assert kept is not None
        assert kept.covers_until_ns == label("2026-01-10")
        assert await calendars.sessions("XNYS") is kept
        assert len(python.calls()) == 1
        hands.seconds += 60
        python.answers(encoded(made_up(until="2027-02-02")))
        new = await calendars.sessions("XNYS")
        assert new is not None
        assert new.covers_until_ns == label("2027-02-02")


async def test_exhausted_answers_are_not_computed_again(
    make, python: FakePython, hands: Hands
) -> None:
    """Where the library knows no more, asking again would not help."""
    python.answers(encoded(made_up(exhausted=True)))
    hands.ns = label("2025-12-31")
    async with make() as calendars:
        first = await calendars.sessions("XNYS")
        assert await calendars.sessions("XNYS") is first
    async with make() as calendars:
        assert await calendars.sessions("XNYS") is not None
    assert len(python.calls()) == 1


async def test_the_childs_standard_input_stays_open(make, python: FakePython) -> None:
    """The child's standard input is the line by which it learns of our end."""
    good = python.folder / "answer"
    good.write_bytes(encoded(made_up()))
    # `read` would return at once if the line were cut.
    python.does(f"timeout 0.2 cat; [ $? = 124 ] && cat {good}")
    async with make() as calendars:
        assert await calendars.sessions("XNYS") is not None


async def test_cancelling_a_caller_while_closing(make, python: FakePython) -> None:
    """Callers that go while everything closes leave no task behind."""
    python.does("sleep 30")
    async with make() as calendars:
        asked = asyncio.create_task(calendars.sessions("XNYS"))
        await called(python)
        asked.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asked
    assert not calendars._tasks  # noqa: SLF001
