"""Cursors and pages come back as they left, and are good for one thing alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.jobs import JobState, UnitState
from ingestion_server.ports.jobs import Cursor
from ingestion_server.service.job_tokens import (
    cursor_read,
    cursor_text,
    job_page_read,
    job_page_text,
    unit_page_read,
    unit_page_text,
)

NUMBERS = st.integers(0, 2**63 - 1)
JOB_IDS = st.text(min_size=1, max_size=64)
CURSORS = st.builds(Cursor, NUMBERS, NUMBERS)
UNIT_STATES = st.frozensets(st.sampled_from(UnitState))
JOB_STATES = st.frozensets(st.sampled_from(JobState))
IDS_OF_OURS = st.text("0123456789abcdef", min_size=1, max_size=64)


@given(CURSORS, JOB_IDS)
def test_a_cursor_comes_back_as_it_left(cursor: Cursor, job_id: str) -> None:
    assert cursor_read(cursor_text(cursor, job_id), job_id) == cursor


@given(NUMBERS, JOB_IDS, UNIT_STATES)
def test_a_page_of_units_comes_back_as_it_left(
    after: int, job_id: str, states: frozenset[UnitState]
) -> None:
    text = unit_page_text(after, job_id, states)

    assert unit_page_read(text, job_id, states) == after


@given(NUMBERS, IDS_OF_OURS, JOB_STATES, st.text(max_size=128))
def test_a_page_of_jobs_comes_back_as_it_left(
    created_ns: int, job_id: str, states: frozenset[JobState], prefix: str
) -> None:
    text = job_page_text((created_ns, job_id), states, prefix)

    assert job_page_read(text, states, prefix) == (created_ns, job_id)


@given(CURSORS, JOB_IDS, JOB_IDS)
def test_a_cursor_of_one_job_is_none_of_another(
    cursor: Cursor, job_id: str, other: str
) -> None:
    if job_id != other:
        assert cursor_read(cursor_text(cursor, job_id), other) is None


@given(st.text(max_size=200))
def test_what_was_made_up_is_none_of_ours(text: str) -> None:
    assert cursor_read(text, "job") is None
    assert unit_page_read(text, "job", {UnitState.FAILED}) is None
    assert job_page_read(text, (), "") is None


@given(CURSORS, st.integers(0, 200), st.characters())
def test_a_cursor_with_another_character_is_none_of_ours(
    cursor: Cursor, place: int, other: str
) -> None:
    text = cursor_text(cursor, "job")
    place %= len(text)

    changed = text[:place] + other + text[place + 1 :]

    assert cursor_read(changed, "job") == (cursor if changed == text else None)


def test_a_page_is_good_for_the_same_filters_only() -> None:
    units = unit_page_text(7, "job", {UnitState.FAILED})
    jobs = job_page_text((7, "job"), {JobState.RUNNING}, "nightly")

    assert unit_page_read(units, "job", {UnitState.LANDED}) is None
    assert unit_page_read(units, "other", {UnitState.FAILED}) is None
    assert job_page_read(jobs, (), "nightly") is None
    assert job_page_read(jobs, {JobState.RUNNING}, "night") is None


def test_states_may_be_named_in_any_order() -> None:
    text = unit_page_text(7, "job", [UnitState.FAILED, UnitState.PARTIAL])

    assert unit_page_read(text, "job", [UnitState.PARTIAL, UnitState.FAILED]) == 7


def test_a_page_is_no_cursor() -> None:
    assert cursor_read(unit_page_text(7, "job", ()), "job") is None


@pytest.mark.parametrize("spoilt", ["{0}=", "{0}\n", " {0}", "{0}AA", "{0}" * 9])
def test_nothing_may_stand_around_a_cursor(spoilt: str) -> None:
    assert cursor_read(spoilt.format(cursor_text(Cursor(1, 2), "job")), "job") is None


def test_cursors_are_short_and_stay_what_they_are() -> None:
    # Readers keep them over upgrades of the server.
    text = "AQAAAAAAAAADAAAAAAAAAAGnQgRSg80"

    assert cursor_text(Cursor(3, 1), "0198f3c2a7e1") == text
