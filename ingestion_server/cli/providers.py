"""The command `providers`: its options, and nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from ingestion_server.cli import options

_CHANGES = "Changes"
_PRIORITY: Final = re.compile(r"(\w+)=(\d{1,4})", re.ASCII)
_MOST_PRIORITY: Final = 1_000


def providers(  # noqa: PLR0913 - one parameter per option
    *,
    shown: options.Shown = None,
    enable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Let this vendor be asked. May be repeated.",
            rich_help_panel=_CHANGES,
        ),
    ] = None,
    disable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Do not ask this vendor any more. May be repeated.",
            rich_help_panel=_CHANGES,
        ),
    ] = None,
    priorities: Annotated[
        list[str] | None,
        typer.Option(
            "--set-priority",
            metavar="ID=N",
            help="Give this vendor a place, from 0 (first) to 1000; equals share the"
            " load. May be repeated.",
            rich_help_panel=_CHANGES,
        ),
    ] = None,
    watch: options.Watch = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="The ListProvidersResponse of the contract, as protobuf writes JSON."
            " With --watch, one WatchProvidersResponse per line.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Patience = 30.0,
) -> None:
    """
    Show who the vendors are, how they have done of late, and which rest.

    One row per vendor and kind of data. The score is from 0 (worst) to 1;
    "?" marks one that rests on too few calls. A vendor whose breaker is
    open is left alone until then. Below stands what is kept of their
    answers, and how many questions that answers. Changes are made first,
    and survive a restart of the server. Nothing here asks a vendor.
    """
    switches = _switches(enable or (), disable or ())
    places = dict(map(_place, priorities or ()))

    # The client brings numpy and gRPC along; --help and completion can do without.
    from ingestion_server.cli import roster  # noqa: PLC0415

    run = roster.watch if watch else roster.show
    raise typer.Exit(
        roster.change(switches, places, target=target, timeout_seconds=timeout)
        or run(shown or (), target=target, timeout_seconds=timeout, as_json=as_json)
    )


def _switches(enable: Sequence[str], disable: Sequence[str]) -> dict[str, bool]:
    both = sorted({*enable} & {*disable})
    if both:
        raise typer.BadParameter(f"{both[0]} cannot be enabled and disabled at once")
    return dict.fromkeys(enable, True) | dict.fromkeys(disable, False)


def _place(text: str) -> tuple[str, int]:
    found = _PRIORITY.fullmatch(text)
    if found is None or int(found[2]) > _MOST_PRIORITY:
        raise typer.BadParameter(
            f"{text!r} is no ID=N with N from 0 to {_MOST_PRIORITY}, such as yahoo=5",
            param_hint="--set-priority",
        )
    return found[1], int(found[2])
