"""The caller's trace is read as the W3C writes it, and nothing else is."""

from __future__ import annotations

import pytest

from ingestion_server.service.trace_context import caller_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("flags", "recorded"), [("01", True), ("00", False), ("03", True), ("02", False)]
)
def test_the_header_tells_the_trace_the_span_and_whether_it_is_recorded(
    flags: str, *, recorded: bool
) -> None:
    caller = caller_of(f"00-{TRACE}-{SPAN}-{flags}", "a=1,b=2")

    assert caller == (TRACE, SPAN, recorded, "a=1,b=2")


def test_a_version_to_come_may_say_more() -> None:
    assert caller_of(f"cc-{TRACE}-{SPAN}-01-what-comes") is not None


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_not_valid_tells_nothing(header: str) -> None:
    assert caller_of(header) is None


def test_a_state_that_is_too_long_is_left_out() -> None:
    caller = caller_of(f"00-{TRACE}-{SPAN}-01", "a=" + "x" * 600)

    assert caller is not None
    assert not caller.state


@pytest.mark.parametrize(
    "state",
    [
        "rubbish",
        "a=b=c",
        "Upper=1",
        "a=\x7f",
        ",".join(f"k{number}=1" for number in range(33)),
        "a=" + "x" * 8_000,
    ],
)
def test_a_state_that_is_not_valid_is_left_out(state: str) -> None:
    caller = caller_of(f"00-{TRACE}-{SPAN}-01", state)

    assert caller is not None
    assert not caller.state


@pytest.mark.parametrize(
    "state", ["a=1", "a=1 , b=2", "0tenant@vendor=x y", "a=" + "x" * 256]
)
def test_a_state_that_is_valid_is_kept_whole(state: str) -> None:
    caller = caller_of(f"00-{TRACE}-{SPAN}-01", state)

    assert caller is not None
    assert caller.state == state
