"""Yahoo's complaints: a status that means something, and a body beside it."""

from __future__ import annotations

from ingestion_server.sandbox.wire import Reply, json_reply

KIND = "application/json;charset=utf-8"


class RefusedError(Exception):
    """The vendor answers with a complaint instead of data."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body.decode())
        self.reply = reply


def not_found() -> RefusedError:
    """Return what an unknown or delisted symbol gets; recorded."""
    return _chart(404, "Not Found", "No data found, symbol may be delisted")


def bad_request(description: str) -> RefusedError:
    """Return a parameter that makes no sense, or a window without data."""
    return _chart(400, "Bad Request", description)


def unprocessable(interval: str, begin_s: int, end_s: int, why: str) -> RefusedError:
    """Return a range that is too long or too old for the interval."""
    return _chart(
        422,
        "Unprocessable Entity",
        f"{interval} data not available for startTime={begin_s} and "
        f"endTime={end_s}. {why}",
    )


def unauthorized(description: str) -> Reply:
    """Return a missing or wrong cookie or crumb."""
    error = {"code": "Unauthorized", "description": description}
    return json_reply(
        {"finance": {"result": None, "error": error}}, status=401, kind=KIND
    )


def _chart(status: int, code: str, description: str) -> RefusedError:
    error = {"code": code, "description": description}
    document = {"chart": {"result": None, "error": error}}
    return RefusedError(json_reply(document, status=status, kind=KIND))
