"""Fixtures of tests that run real processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.process.programs import (
    ANY_PORTS,
    START_SECONDS,
    Ended,
    Program,
    isolated,
)

Start = Callable[..., Program]
Run = Callable[..., Ended]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Isolate programs from the user's files, keys and proxies."""
    return isolated(tmp_path_factory.mktemp("user"))


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Start programs that do not outlive the test."""
    with ExitStack() as programs:

        def begin(
            *arguments: str | Path,
            settings: dict[str, str] | None = None,
            ignoring_interrupts: bool = False,
        ) -> Program:
            program = Program(
                [str(argument) for argument in arguments],
                environment | (settings or {}),
                ignoring_interrupts=ignoring_interrupts,
            )
            return programs.enter_context(program)

        yield begin


@pytest.fixture
def serve(start: Start) -> Start:
    """Start servers on free ports."""

    def begin(*arguments: str | Path, **more: object) -> Program:
        return start("serve", *ANY_PORTS, *arguments, **more)

    return begin


@pytest.fixture
def run(start: Start) -> Run:
    """Run programs to their end."""

    def to_the_end(*arguments: str | Path, **more: object) -> Ended:
        return start(*arguments, **more).ended(START_SECONDS)

    return to_the_end


@pytest.fixture(scope="module")
def house(environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Keep one server with simulated vendors, and tell its gRPC and HTTP doors."""
    with Program(["serve", *ANY_PORTS, "--sandbox"], environment) as program:
        yield program.addresses()
