"""A collector of OpenTelemetry that keeps what metrics it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from opentelemetry.proto.collector.metrics.v1 import (
    metrics_service_pb2 as service,
)
from opentelemetry.proto.collector.metrics.v1 import (
    metrics_service_pb2_grpc as service_grpc,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric


class MetricsCollector(service_grpc.MetricsServiceServicer):
    """Keep what is sent, or hang until it is mended."""

    def __init__(self) -> None:
        self.requests: list[service.ExportMetricsServiceRequest] = []
        self.metadata: Mapping[str, Any] = {}
        self.came = asyncio.Event()
        """Whether anything was sent."""
        self.kept = asyncio.Event()
        """Whether anything was taken."""
        self.well = asyncio.Event()
        self.well.set()

    async def Export(  # noqa: N802 - the name in the contract
        self, request: service.ExportMetricsServiceRequest, context: Any
    ) -> service.ExportMetricsServiceResponse:
        """Take metrics."""
        self.came.set()
        await self.well.wait()
        self.metadata = dict(context.invocation_metadata())
        self.requests.append(request)
        self.kept.set()
        return service.ExportMetricsServiceResponse()

    async def next(self) -> Mapping[str, Metric]:
        """Wait for something to be sent, and return the latest by name."""
        self.kept.clear()
        async with asyncio.timeout(20):
            await self.kept.wait()
        return self.latest

    @property
    def latest(self) -> Mapping[str, Metric]:
        """Return what was sent last, by name."""
        (resource,) = self.requests[-1].resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: metric for metric in scope.metrics}

    @property
    def resource(self) -> Mapping[str, str]:
        """Return what the sender says of itself."""
        (resource,) = self.requests[-1].resource_metrics
        return attributes(resource.resource.attributes)


@asynccontextmanager
async def listening(collector: MetricsCollector, port: int = 0) -> AsyncIterator[int]:
    """Let a collector be reached while the block lasts; yield its port."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    service_grpc.add_MetricsServiceServicer_to_server(collector, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(0)


def attributes(pairs: Any) -> Mapping[str, str]:
    """Return attributes whose values are text."""
    found: list[KeyValue] = list(pairs)
    return {pair.key: pair.value.string_value for pair in found}


def points(metric: Metric) -> Mapping[tuple[str, ...], float]:
    """Return the values of a metric by those of its attributes, in their order."""
    kind = metric.WhichOneof("data")
    data = getattr(metric, str(kind)).data_points
    return {
        tuple(attributes(point.attributes).values()): (
            point.count if kind == "histogram" else point.as_double
        )
        for point in data
    }
