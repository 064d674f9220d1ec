"""Cron expressions: read strictly, so that what never fires is refused at once."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from apscheduler.triggers.cron import CronTrigger

from ingestion_server.domain.interval import SECOND_NS

_LONGEST: Final = 256
_SHOWN: Final = 40
_LEAP_YEAR: Final = 2024
_SUNDAY: Final = 7
_ALL_HOURS: Final = 24
_PART: Final = re.compile(
    r"(?P<first>\*|\d{1,4}|[a-z]{3})(?:-(?P<last>\d{1,4}|[a-z]{3}))?(?:/(?P<step>\d{1,4}))?"
)
_SECOND: Final = timedelta(seconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Field(NamedTuple):
    name: str
    first: int
    last: int
    names: Sequence[str] = ()
    """Of its values, from the first on."""


_MINUTE: Final = _Field("minute", 0, 59)
_HOUR: Final = _Field("hour", 0, 23)
_DAY: Final = _Field("day of the month", 1, 31)
_MONTHS: Final = (
    ("jan", "feb", "mar", "apr", "may", "jun"),
    ("jul", "aug", "sep", "oct", "nov", "dec"),
)
_MONTH: Final = _Field("month", 1, 12, [*_MONTHS[0], *_MONTHS[1]])
_WEEKDAY: Final = _Field(
    "day of the week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
)
_FIELDS: Final = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


class CronError(Exception):
    """Say what is wrong with an expression, and in which field."""


class Cron(msgspec.Struct, frozen=True):
    """Be when an expression fires, by the wall clock of a zone yet to be named."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...] | None
    """Of the month; None = any."""
    months: tuple[int, ...]
    weekdays: tuple[int, ...] | None
    """From 0, Sunday; None = any. With days of the month, either will do."""

    def next_ns(self, after_ns: int, zone: ZoneInfo) -> int:
        """
        Return the first time after another at which it fires.

        What fires at given hours fires once where clocks are put forward over it, at
        the change, and where they are put back, the first time only. What fires in
        every hour goes on by the time that passes.
        """
        after = _EPOCH + timedelta(seconds=after_ns // SECOND_NS)
        if len(self.hours) == _ALL_HOURS:
            found = self._next((after + _SECOND).astimezone(zone))
            return _ns(found)
        # Each reading of the wall clock is taken once, whatever clocks do.
        reading = after.astimezone(zone).replace(tzinfo=UTC)
        while True:
            reading = self._next(reading + _SECOND)
            moment = _moment(reading, zone)
            if moment > after:
                return _ns(moment)

    def _next(self, since: datetime) -> datetime:
        """Return the first time, by the zone of this one, that is not before it."""
        found: list[datetime] = [
            fires
            for trigger in self._triggers(since.tzinfo)
            if (fires := trigger.get_next_fire_time(None, since)) is not None
        ]
        return min(found)

    def _triggers(self, zone: tzinfo | None) -> list[CronTrigger]:
        either = self.days is not None and self.weekdays is not None
        # One for each of both, since the trigger would have both at once.
        whens = [(self.days, None), (None, self.weekdays)]
        return [
            CronTrigger(
                minute=_listed(self.minutes),
                hour=_listed(self.hours),
                day=_listed(days),
                month=_listed(self.months),
                day_of_week=_listed(weekdays, _WEEKDAY.names),
                timezone=zone,
            )
            for days, weekdays in (whens if either else [(self.days, self.weekdays)])
        ]


def parsed(expression: str) -> Cron:
    """
    Read an expression of five fields.

    Raises:
        CronError: It is none, or it never fires.

    """
    if len(expression) > _LONGEST:
        raise CronError(f"is longer than {_LONGEST} characters")
    texts = expression.lower().split()
    if len(texts) != len(_FIELDS):
        raise CronError(
            f"has {len(texts)} fields instead of five: minute, hour, day of the month, "
            'month, day of the week, for example "30 18 * * mon-fri"'
        )
    minutes, hours, days, months, weekdays = (
        _values(text, field) for text, field in zip(texts, _FIELDS, strict=True)
    )
    # Both 0 and 7 are Sunday.
    weekdays = sorted({day % _SUNDAY for day in weekdays})
    any_day = len(days) == _DAY.last
    any_weekday = len(weekdays) == _SUNDAY
    longest = max(monthrange(_LEAP_YEAR, month)[1] for month in months)
    if any_weekday and min(days) > longest:
        raise CronError(
            f"never fires: day of the month {texts[2]!r} is in no month of {texts[3]!r}"
        )
    return Cron(
        tuple(minutes),
        tuple(hours),
        None if any_day else tuple(days),
        tuple(months),
        None if any_weekday else tuple(weekdays),
    )


def _values(text: str, field: _Field) -> list[int]:
    values: set[int] = set()
    for part in text.split(","):
        values.update(_range(part, field))
    return sorted(values)


def _range(part: str, field: _Field) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise CronError(
            f"{field.name}: {part[:_SHOWN]!r} cannot be read; expected for example "
            f'"*", "*/2", "{field.first + 1}" or "{field.first + 1}-{field.first + 3}"'
        )
    first, last, step = match["first"], match["last"], match["step"]
    if first == "*":
        if last is not None:
            raise CronError(f"{field.name}: {part!r} begins nowhere")
        low, high = field.first, field.last
    else:
        low = _value(first, field)
        # "5/15" goes on to the end of the field.
        high = field.last if step is not None else low
        if last is not None:
            high = _value(last, field)
            if field is _WEEKDAY and high < low and high == 0:
                high = _SUNDAY
    if high < low:
        raise CronError(f"{field.name}: {part!r} ends before it begins")
    if step is not None and not int(step):
        raise CronError(f"{field.name}: a step of 0, in {part!r}, comes to nothing")
    return range(low, high + 1, int(step or 1))


def _value(text: str, field: _Field) -> int:
    if text.isdigit():
        value = int(text)
        if not field.first <= value <= field.last:
            raise CronError(
                f"{field.name}: {value} is not from {field.first} to {field.last}"
            )
        return value
    if text not in field.names:
        known = f"; expected {', '.join(field.names)}" if field.names else ""
        raise CronError(f"{field.name}: {text!r} is no name here{known}")
    return field.names.index(text) + field.first


def _listed(values: Sequence[int] | None, names: Sequence[str] = ()) -> str:
    if values is None:
        return "*"
    return ",".join(names[value] if names else str(value) for value in values)


def _moment(reading: datetime, zone: ZoneInfo) -> datetime:
    """Return when a wall clock shows a reading first, or is put forward over it."""
    moment = reading.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=UTC) == reading:
        return moment
    low = reading.replace(tzinfo=zone, fold=1).astimezone(UTC)
    # Before the change it shows less, from then on more.
    while moment - low > _SECOND:
        middle = low + (moment - low) // 2
        if middle.astimezone(zone).replace(tzinfo=UTC) < reading:
            low = middle
        else:
            moment = middle
    return moment.replace(microsecond=0)


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // _SECOND * SECOND_NS
