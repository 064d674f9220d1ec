"""When a watcher is told: everything first, events at once, other changes in time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from ingestion_server.ports.clock import Clock
from ingestion_server.service.admission import Door

_MOST_OLD_EVENTS: Final = 100
_LOOK_SECONDS: Final = 1.0
"""How late a change may be told that comes after a long silence."""


class Event(Protocol):
    """Be something that is told once and at once."""

    @property
    def number(self) -> int:
        """Return its place among all of them, ascending."""
        ...

    @property
    def provider(self) -> str:
        """Return the vendor that it is about."""
        ...


class Changed(Protocol):
    """Wait until there is a newer event, but not longer."""

    def __call__(
        self, after: int, /, *, within_seconds: float
    ) -> Coroutine[Any, Any, None]:
        """Return at the latest after so many seconds."""
        ...


_Event = TypeVar("_Event", bound=Event)
_Message = TypeVar("_Message", bound=Message)


@dataclass(frozen=True, slots=True)
class Subject(Generic[_Event, _Message]):
    """Be what one watcher watches."""

    events: Callable[[int], Sequence[_Event]]
    """Return the latest events with higher numbers, oldest first."""
    changed: Changed
    """Wait for the next one."""
    news: Callable[[Sequence[_Event]], _Message]
    """
    Say what differs from what was said before, and tell these events.

    A message that has nothing but ``as_of`` says that nothing does.
    """


class Watcher(Generic[_Event, _Message]):
    """Wait until there is something to tell."""

    def __init__(
        self,
        subject: Subject[_Event, _Message],
        wanted: Collection[str],
        interval_seconds: float,
        door: Door,
        clock: Clock,
    ) -> None:
        """Name the vendors that are watched, and the time between two messages."""
        self._subject = subject
        self._wanted = wanted
        self._interval_seconds = interval_seconds
        self._door = door
        self._clock = clock
        self._begun = False
        self._due = clock.monotonic()
        self._last_event = 0

    async def next(self) -> _Message:
        """Wait for an event; or until a message is due, and there is one."""
        while True:
            events = self._heard()
            late = self._clock.monotonic() >= self._due
            if events or late:
                message = self._subject.news(events)
                if not self._begun or _tells_something(message):
                    self._begun = True
                    self._due = self._clock.monotonic() + self._interval_seconds
                    return message
            pause = (
                min(self._interval_seconds, _LOOK_SECONDS)
                if late
                else self._due - self._clock.monotonic()
            )
            await self._door.while_open(
                self._subject.changed(self._last_event, within_seconds=pause)
            )

    def _heard(self) -> Sequence[_Event]:
        """Return those of the latest events that the watcher wants to hear of."""
        events = self._subject.events(self._last_event)
        if events:
            self._last_event = events[-1].number
        wanted = [one for one in events if one.provider in self._wanted]
        return wanted[-_MOST_OLD_EVENTS:]


def _tells_something(message: Message) -> bool:
    return any(field.name != "as_of" for field, _ in message.ListFields())
