"""What the end of a health watch means for one who waits for the server."""

from __future__ import annotations

import grpc

from ingestion_server.client.status import failure, unreachable


def check(ended: grpc.RpcError, target: str, timeout_seconds: float) -> None:
    """Raise what ends the waiting; a server that went away may come back."""
    match ended.code():
        case grpc.StatusCode.UNAVAILABLE:
            return
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            raise unreachable(
                target, f"not serving within {timeout_seconds:g} s"
            ) from ended
        case _:
            raise failure(ended, target) from ended
