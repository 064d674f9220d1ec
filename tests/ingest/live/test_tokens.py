"""A token brings a stream back to where it was, and nothing else passes for one."""

from __future__ import annotations

import pytest

from ingestion_server.ingest.live import tokens
from tests.ingest.live.ticks import TEN


@pytest.mark.parametrize(
    "token",
    [
        tokens.Token(0, 0, 0),
        tokens.Token(1, 2, TEN),
        tokens.Token(2**63 - 1, 2**64 - 1, -1),
        tokens.Token(1, 2, TEN, history_due=True),
    ],
)
def test_a_token_says_what_was_written_in_it(token: tokens.Token) -> None:
    assert tokens.read(tokens.written(token)) == token


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"not ours",
        tokens.written(tokens.Token(1, 2, 3))[:-1],
        tokens.written(tokens.Token(1, 2, 3)) + b"\0",
        b"\3" + tokens.written(tokens.Token(1, 2, 3))[1:],
    ],
    ids=["empty", "other", "short", "long", "version"],
)
def test_what_is_no_token_of_ours_says_nothing(told: bytes) -> None:
    assert tokens.read(told) is None
