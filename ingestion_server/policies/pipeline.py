"""Steps become one function."""

from __future__ import annotations

import random as chance
from collections.abc import Awaitable, Callable, Sequence

from ingestion_server.policies.breaker import Breaker
from ingestion_server.policies.deadline import Deadline
from ingestion_server.policies.limits import PolicyLimits
from ingestion_server.policies.reserve import Reserve
from ingestion_server.policies.retry import Retry
from ingestion_server.policies.tell import Tell
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import OnCall, OnLeaving
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import Call, Send
from ingestion_server.ports.quota import Quota

Step = Callable[[Call, Send], Awaitable[HttpResponse]]
"""Be a ``Policy``, or a method that looks like one."""


def pipeline(policies: Sequence[Step], send: Send) -> Send:
    """Return ``send`` with the steps around it, the first one outermost."""
    for policy in reversed(policies):
        send = _around(policy, send)
    return send


def standard_policies(  # noqa: PLR0913 - what the steps need
    limits: PolicyLimits,
    clock: Clock,
    *,
    breaker: Breaker,
    quota: Quota,
    kind: str = "",
    hooks: Sequence[OnCall] = (),
    leaving: Sequence[OnLeaving] = (),
    random: Callable[[], float] = chance.random,
) -> list[Step]:
    """
    Return the steps in the order that the package explains.

    Listeners are told the ``kind`` of data that the calls are for; those of
    ``leaving`` as a call leaves, the others when it has ended.
    """
    return [
        breaker,
        Retry(limits.retry, clock, random),
        Reserve(quota, clock),
        breaker.watch,
        Tell(hooks, clock, kind=kind, leaving=leaving),
        Deadline(limits.deadline, clock),
    ]


def _around(policy: Step, send: Send) -> Send:
    async def sent(call: Call) -> HttpResponse:
        return await policy(call, send)

    return sent
