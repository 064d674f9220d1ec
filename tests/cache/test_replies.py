"""A reply is given again as it is, until its time is over or things have changed."""

from __future__ import annotations

import pytest

from ingestion_server.cache.replies import EncodedReplies, Reply, Signature
from ingestion_server.ports.caching import CacheCounts
from tests.clocks import ManualClock

SIGNED = Signature(b"acme", 5.0)
LIMIT_BYTES = 1_000
MINUTE = 60.0


class World:
    """Hold replies, and what ends them."""

    def __init__(self, clock: ManualClock, limit_bytes: int) -> None:
        self.clock = clock
        self.generation = 7
        self.counts = CacheCounts()
        self.replies = EncodedReplies(
            limit_bytes,
            clock,
            generation=lambda: self.generation,
            counts=self.counts,
        )

    def keep(
        self,
        question: bytes,
        encoded: bytes,
        *signatures: Signature,
        good_for_seconds: float = MINUTE,
    ) -> None:
        """Keep a reply that was made of what is known now."""
        self.replies.keep(
            question,
            Reply(encoded, signatures),
            good_for_seconds=good_for_seconds,
            generation=self.generation,
        )

    def found(self, question: bytes) -> bytes | None:
        """Return the bytes of a reply."""
        known = self.replies.find(question)
        return None if known is None else known[0].encoded


@pytest.fixture
def world(clock: ManualClock) -> World:
    """Have room for two small replies."""
    return World(clock, LIMIT_BYTES)


def test_a_reply_is_given_again_until_its_time_is_over(world: World) -> None:
    world.keep(b"AAPL?", b"bars")

    world.clock.pass_by(59.9)
    early = world.found(b"AAPL?")
    world.clock.pass_by(0.1)
    late = world.found(b"AAPL?")

    assert (early, late) == (b"bars", None)
    assert world.replies.held_bytes == 0


def test_another_question_has_no_reply(world: World) -> None:
    world.keep(b"AAPL?", b"bars")

    assert world.found(b"MSFT?") is None


def test_a_reply_ends_when_what_it_was_made_of_has_changed(world: World) -> None:
    world.keep(b"AAPL?", b"bars")

    world.generation += 1

    assert world.found(b"AAPL?") is None
    assert world.replies.held_bytes == 0


def test_an_answer_that_was_overtaken_while_it_was_made_is_not_kept(
    world: World,
) -> None:
    before = world.replies.generation
    world.generation += 1

    world.replies.keep(
        b"AAPL?", Reply(b"bars", ()), good_for_seconds=MINUTE, generation=before
    )

    assert world.found(b"AAPL?") is None


def test_an_answer_that_does_not_say_how_long_it_is_good_is_not_kept(
    world: World,
) -> None:
    world.keep(b"AAPL?", b"bars", good_for_seconds=0.0)

    assert world.found(b"AAPL?") is None


def test_a_newer_answer_takes_the_place_of_an_older_one(world: World) -> None:
    world.keep(b"AAPL?", b"bars")
    world.keep(b"AAPL?", b"newer bars")

    assert world.found(b"AAPL?") == b"newer bars"
    assert world.replies.held_bytes < LIMIT_BYTES / 2


def test_whoever_was_asked_for_longest_ago_makes_room(world: World) -> None:
    world.keep(b"AAPL?", b"bars")
    world.keep(b"MSFT?", b"bars")
    assert world.found(b"AAPL?")

    world.keep(b"NVDA?", b"bars")

    assert world.found(b"MSFT?") is None
    assert world.found(b"AAPL?")
    assert world.found(b"NVDA?")


def test_what_is_held_stays_within_the_limit(world: World) -> None:
    for number in range(100):
        world.keep(f"S{number}?".encode(), b"b" * number, SIGNED)

        assert world.replies.held_bytes <= LIMIT_BYTES


def test_a_reply_larger_than_the_limit_drives_nobody_out(world: World) -> None:
    world.keep(b"AAPL?", b"bars")

    world.keep(b"MSFT?", b"b" * LIMIT_BYTES)

    assert world.found(b"MSFT?") is None
    assert world.found(b"AAPL?")


def test_a_question_as_long_as_a_page_is_not_kept(clock: ManualClock) -> None:
    roomy = World(clock, 1_000_000)

    roomy.keep(b"A" * 4_096, b"bars")
    roomy.keep(b"A" * 4_097, b"bars")

    assert roomy.found(b"A" * 4_096)
    assert roomy.found(b"A" * 4_097) is None


def test_a_reply_says_how_old_it_is_and_who_signed_it(world: World) -> None:
    world.keep(b"AAPL?", b"bars", SIGNED)

    world.clock.pass_by(10.0)

    assert world.replies.find(b"AAPL?") == (Reply(b"bars", (SIGNED,)), 10.0)


def test_each_reply_counts_as_a_hit_and_nothing_else_does(world: World) -> None:
    world.keep(b"AAPL?", b"bars")

    world.found(b"AAPL?")
    world.found(b"AAPL?")
    world.found(b"MSFT?")

    assert world.counts == CacheCounts(hits=2, encoded_hits=2)
