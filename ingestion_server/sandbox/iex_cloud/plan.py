"""What a key of IEX Cloud's may do: so many messages a month, and no more."""

from __future__ import annotations

from typing import Final

from ingestion_server.sandbox.days import SECOND_NS, local_date
from ingestion_server.sandbox.limits import RollingWindow

_INVALID: Final = "invalid"
_MOST_DIGITS: Final = 9
_PER_SECOND: Final = 100
_MOST_CLIENTS: Final = 1000


def invalid(key: str) -> bool:
    """Tell whether a key is one that the vendor does not know."""
    return _ending(key) == _INVALID


class Account:
    """Count the messages of one key, by the calendar month of UTC."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._month = ""
        self._by_day: dict[str, int] = {}

    def used(self, now_ns: int) -> int:
        """Return what was used of the month."""
        return sum(self.by_day(now_ns).values())

    def by_day(self, now_ns: int) -> dict[str, int]:
        """Return what was used of the month, by the date."""
        month = local_date(now_ns, "UTC")[:7]
        if month != self._month:
            self._month, self._by_day = month, {}
        return self._by_day

    def has_room(self, messages: int, now_ns: int) -> bool:
        """Tell whether so many more are left."""
        return self.used(now_ns) + messages <= self._allowed

    def take(self, messages: int, now_ns: int) -> None:
        """Count messages."""
        days = self.by_day(now_ns)
        today = local_date(now_ns, "UTC")
        days[today] = days.get(today, 0) + messages


class Meters:
    """Keep the account of each key, and the pace of each address."""

    def __init__(self, messages: int) -> None:
        self._messages = messages
        self._accounts: dict[str, Account] = {}
        self._paces: dict[str, RollingWindow] = {}

    def of(self, key: str) -> Account:
        """Return the account of a key; ``abc-500`` has 500 messages a month."""
        if key not in self._accounts:
            ending = _ending(key)
            chosen = ending.isdecimal() and len(ending) <= _MOST_DIGITS
            self._accounts[key] = Account(int(ending) if chosen else self._messages)
        return self._accounts[key]

    def keeps_pace(self, client: str, now_ns: int) -> bool:
        """Count a call of an address, or tell that it is one too many."""
        if client not in self._paces and len(self._paces) >= _MOST_CLIENTS:
            self._paces.clear()
        pace = self._paces.setdefault(client, RollingWindow(_PER_SECOND, SECOND_NS))
        if not pace.has_room(now_ns):
            return False
        pace.take(now_ns)
        return True

    def forget(self) -> None:
        """Start all keys and addresses anew."""
        self._accounts.clear()
        self._paces.clear()


def _ending(key: str) -> str:
    _, _, ending = key.rpartition("-")
    return ending if ending != key else ""
