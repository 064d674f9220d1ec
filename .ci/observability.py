"""Write docs/observability.md from what a server tells of itself."""

import argparse
import asyncio
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import Metric

from ingestion_server.app.metering import Meters, metering
from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import load_settings
from ingestion_server.app.wiring import joined
from ingestion_server.ports.spans import ATTRIBUTES, EVENTS, SPANS, Meaning
from ingestion_server.service.admission import Door
from ingestion_server.telemetry.discovery_metrics import discovery_parts

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "observability.md"

GENERATED = (
    "<!-- Written by `make generate` from the code; its words are in "
    ".ci/observability.py. -->"
)
INTRODUCTION = """\
What the server tells of itself to machines: metrics and traces. What to look at, and \
what to do about it, is in [Operations](operations.md).

## Scraping

`GET /metrics` on the HTTP address is for Prometheus: its text format, or OpenMetrics \
where the Accept header asks for that. Values are those of the moment; asking changes \
nothing and calls no vendor. Jobs alone are counted every few seconds, since they are \
kept in a database that may be slow.

```yaml
scrape_configs:
  - job_name: ingestion-server
    static_configs:
      - targets: ["127.0.0.1:8080"]
```

A part of the page that fails is left out, counted in \
`ingestion_metrics_failures_total`, and logged; the rest is there.

What callers send is never a label: no symbol, no request id, no method that is not \
served. So the number of series is bounded by the vendors, their kinds of data, their \
windows, our methods and our reasons, whatever is asked.

## Exemplars

Durations of calls, and of calls of vendors, hold the id of the latest recorded trace \
of each bucket. Only OpenMetrics has them:

```sh
curl -H 'Accept: application/openmetrics-text; version=1.0.0' http://127.0.0.1:8080/metrics
```

Prometheus asks for OpenMetrics by itself, and keeps exemplars once its feature \
`exemplar-storage` is enabled.

## To a collector of OpenTelemetry

With `telemetry.otlp_endpoint` set, traces are sent there as they end, and metrics \
every `telemetry.metrics_interval_seconds` and once more when the server stops: the \
same as on the page, under the same names, histograms cumulative. \
`telemetry.otlp_protocol` is gRPC or HTTP, `telemetry.otlp_headers` may hold a token, \
`telemetry.service_name` and `telemetry.resource_attributes` say which server it is; \
[Settings](settings.md) has them all, and the variables of OpenTelemetry that are read \
as well.

Callers notice nothing of a collector that is slow, away or full: what it does not \
take is lost and counted (`ingestion_telemetry_export_failures_total`, \
`ingestion_spans_dropped_total`), one line of log a minute says so, and it is tried \
again.

## Sampling

A caller that sends `traceparent` has decided whether its trace is recorded; of all \
others, `telemetry.sample_ratio` is. Which those are follows from the trace id, so all \
servers that a trace passes decide alike. A failure names its trace in the trailer \
`x-trace-id`, recorded or not. A span keeps its latest 32 events, and of each text the \
first 2,048 characters."""

LABELS = {
    "factor": "A part of the score: success, latency, completeness, soundness, "
    "headroom, freshness, cost.",
    "fault": "Who is to blame: nobody, caller, or server.",
    "grpc": "The version of gRPC.",
    "grpc_method": "Package, service and method, such as "
    "`marketdata.ingestion.v1.IngestionService/Fetch`.",
    "grpc_status": "The name of the status, such as `OK` or `UNAVAILABLE`.",
    "implementation": "Which Python it is.",
    "kind": "The kind of data, such as `bars:equity`, `quotes:fx` or `stream`; of "
    "alerts, which one.",
    "lane": "How urgent a call is: interactive or batch.",
    "major": "Of Python's version.",
    "minor": "Of Python's version.",
    "outcome": "How it went: of calls `ok` or the reason of the failure; of probes "
    "answered or failed.",
    "part": "Of this page.",
    "patchlevel": "Of Python's version.",
    "place": "What sort of RPC it is: calls, watchers, or streams.",
    "policy": "What a subscriber chose for when it reads too slowly.",
    "provider": "The id of the vendor.",
    "python": "The version of Python.",
    "reason": "The ErrorInfo reason, see [Errors](contract.md); of discovery, why.",
    "result": "What was known of the answer: hit, partial, or miss.",
    "scope": "Whom the vendor meters: key, ip, account, or connection.",
    "signal": "traces or metrics.",
    "state": "Where a job or a unit stands.",
    "to": "Where the breaker moved: open, half_open, or closed.",
    "version": "The version of the server; alone, that of Python.",
    "where": "The place where the server is to be found.",
    "window": "The window of the vendor's quota.",
}
"""What labels mean; one without an entry here is an error."""

GROUPS = {
    "RPCs": ("grpc_server_", "ingestion_rpc_"),
    "Vendors": ("ingestion_vendor_", "ingestion_breaker_", "ingestion_probes"),
    "Quota and spend": ("ingestion_quota_", "ingestion_spend_"),
    "Cache": ("ingestion_cache_",),
    "Live data": ("ingestion_stream_",),
    "Jobs": ("ingestion_job",),
    "Discovery": ("ingestion_discovery_",),
    "The process": (
        "ingestion_build_info",
        "ingestion_event_loop_",
        "ingestion_unhandled_",
        "process_",
        "python_",
    ),
    "Telemetry itself": (
        "ingestion_metrics_",
        "ingestion_spans_",
        "ingestion_telemetry_",
    ),
}
"""Metrics by how their names begin; one that belongs nowhere is an error."""

HISTOGRAMS = """\
A histogram `x` is `x_bucket` with the limit `le`, `x_sum` and `x_count`."""

# What Markdown would read as its own stands for itself.
MARKUP = re.compile(r"([*<\[|])")


@dataclass
class Nowhere:
    """A place where a server may be found, for its metrics to be listed."""

    where: str = "etcd"
    registered: bool = False
    registrations: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)


async def told() -> list[Metric]:
    """Assemble a server with simulated vendors, and return what its page tells."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            config_file=None,
            overrides={},
            environ={"INGESTION_CALENDARS__CACHE_FOLDER": folder},
        )
        async with (
            AsyncExitStack() as farewells,
            joined(settings, Mode(sandbox=True)) as house,
            metering(
                settings,
                Meters(),
                house,
                Door(settings.grpc.max_concurrent_calls),
                spans=None,
                others=discovery_parts([Nowhere()]),
                farewells=farewells,
            ) as page,
        ):
            return list(page.families())


def name_of(family: Metric) -> str:
    """Return a metric's name as it is asked for."""
    return family.name + ("_total" if family.type == "counter" else "")


def labels_of(family: Metric) -> list[str]:
    """Return the names of the labels, also of one that has no values yet."""
    return list(vars(family)["_labelnames"])


def grouped(families: Iterable[Metric]) -> Mapping[str, Sequence[Metric]]:
    """Return metrics by what they are about."""
    groups: dict[str, list[Metric]] = {title: [] for title in GROUPS}
    for family in families:
        title = next(
            (t for t, starts in GROUPS.items() if family.name.startswith(starts)), None
        )
        if title is None:
            raise LookupError(f"{family.name} belongs to none of GROUPS")
        groups[title].append(family)
    return groups


def plain(text: str) -> str:
    """Return words that are no Markdown."""
    return MARKUP.sub(r"\\\1", text)


def coded(names: Iterable[str]) -> str:
    """Return names as code."""
    return ", ".join(f"`{name}`" for name in names) or "none"


def metrics(families: Sequence[Metric]) -> Iterator[str]:
    """Yield a table for each group of metrics, and one of their labels."""
    yield from ("## Metrics", "", HISTOGRAMS)
    used: set[str] = set()
    for title, group in grouped(families).items():
        yield from ("", f"### {title}", "")
        yield from ("| metric | type | labels | tells |", "|---|---|---|---|")
        for family in group:
            labels = labels_of(family)
            used.update(labels)
            yield (
                f"| `{name_of(family)}` | {family.type} | {coded(labels)} "
                f"| {plain(family.documentation)} |"
            )
    yield from ("", "### Labels", "", "| label | tells |", "|---|---|")
    for label in sorted(used):
        yield f"| `{label}` | {LABELS[label]} |"


def spans() -> Iterator[str]:
    """Yield the tables of spans, of their events, and of attributes."""
    for title, meanings in (("Spans", SPANS), ("Events of spans", EVENTS)):
        yield from ("", f"## {title}", "")
        yield from ("| name | tells | attributes |", "|---|---|---|")
        for name, meaning in meanings.items():
            yield row(name, meaning)
    yield from ("", "## Attributes", "", "| attribute | tells |", "|---|---|")
    for name, words in ATTRIBUTES.items():
        yield f"| `{name}` | {plain(words)} |"


def row(name: str, meaning: Meaning) -> str:
    """Return the row of a span or an event."""
    return f"| `{name}` | {plain(meaning.words)} | {coded(meaning.attributes)} |"


def lines(families: Sequence[Metric]) -> Iterator[str]:
    """Yield the page."""
    yield from ("# Observability", "", GENERATED, "", INTRODUCTION, "")
    yield from metrics(families)
    yield from spans()


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", nargs="?", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    page = "\n".join(lines(asyncio.run(told()))) + "\n"
    options.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
