"""How listeners are told of RPCs, as the door tells them."""

from __future__ import annotations

from ingestion_server.ports.hooks import OnRpc, RpcDetails


def tell(listener: OnRpc, ended: RpcDetails) -> None:
    """Tell of an RPC that is over, whichever way it ended."""
    if ended.code == "OK":
        listener.answered(
            ended.rpc,
            None if ended.is_lasting else ended.seconds,
            ended.trace_id if ended.is_sampled else "",
        )
    else:
        listener.failed(ended)
