"""
How this process may have children.

gRPC prepares for forks by default, and its preparations are not up to uvloop's: while
calls are under way, every tenth child crashed before it became the program that it was
to be (seen with grpcio 1.85: 199 of 1,500, and none of 3,000 without). Our children
are other programs, to which gRPC's state means nothing.
"""

from __future__ import annotations

import os


def leave_grpc_out() -> None:
    """Have gRPC take no part in forks; only heard before it is imported."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
