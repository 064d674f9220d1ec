"""What one watcher knows of the state of something, and what is news to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.service.moments import nanoseconds

_SAME_MOMENT_NS: Final = SECOND_NS // 10
"""
What does not count as another moment.

A moment that is reckoned from now differs a little each time it is reckoned.
"""
_State = TypeVar("_State", bound=Message)


class Known(Generic[_State]):
    """Remember the states of things of one kind as they were told last."""

    def __init__(
        self,
        key: Callable[[_State], Hashable],
        steady: Callable[[_State, _State], None],
    ) -> None:
        """
        Know nothing.

        ``key`` tells things apart. ``steady`` is given a copy of a state, and what is
        known; in the copy it undoes what is no news.
        """
        self._key = key
        self._steady = steady
        self._states: dict[Hashable, _State] = {}

    def news(self, states: Iterable[_State]) -> list[_State]:
        """Return the states that differ from what is known, and know them."""
        news = [state for state in states if self._is_news(state)]
        self._states |= {self._key(state): state for state in news}
        return news

    def _is_news(self, state: _State) -> bool:
        known = self._states.get(self._key(state))
        if known is None:
            return True
        steadied = type(state)()
        steadied.CopyFrom(state)
        self._steady(steadied, known)
        return steadied != known


def steady_moments(state: Message, known: Message, moments: Sequence[str]) -> None:
    """Set the known moments where they are as good as the same."""
    for name in moments:
        if state.HasField(name) and known.HasField(name):
            before, now = getattr(known, name), getattr(state, name)
            if abs(nanoseconds(now) - nanoseconds(before)) < _SAME_MOMENT_NS:
                now.CopyFrom(before)
