"""Every secret of the settings is blanked, however it is spelled."""

from __future__ import annotations

from ingestion_server.app.redaction import blank_of
from ingestion_server.app.settings import load_settings


def test_keys_passwords_and_tokens_are_blanked() -> None:
    blank = blank_of(
        load_settings(
            environ={
                "FINNHUB_API_KEY": "f1nnhub-k3y",
                "ALPHAVANTAGE_API_KEY": "alph4&k3y",
                "INGESTION_STORE__URL": "postgresql+asyncpg://me:p%40ssw0rd@db/jobs",
                "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20t0k3n-abc",
            }
        )
    )

    told = blank(
        "f1nnhub-k3y alph4&k3y alph4%26k3y p@ssw0rd p%40ssw0rd Bearer t0k3n-abc "
        "t0k3n-abc https://x/?apikey=other&token=another&crumb=third"
    )

    for secret in ("f1nn", "alph4", "ssw0rd", "t0k3n", "other", "another", "third"):
        assert secret not in told


def test_nothing_else_is_blanked() -> None:
    text = "yahoo: 429 after 0.1 s, symbol=AAPL"

    assert blank_of(load_settings(environ={}))(text) == text
