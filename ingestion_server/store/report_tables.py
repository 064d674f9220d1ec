"""The tables of what reports are made of."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

VERSION: Final = 1
"""Of the tables; who changes them counts it up."""
TABLES: Final = MetaData()
# In a PostgreSQL that others use as well, the names tell whose tables these are.
STORE: Final = Table(
    "ingestion_report_store",
    TABLES,
    Column("version", Integer, primary_key=True, autoincrement=False),
)
"""One row, by which everything else is understood."""
STINT: Final = Table(
    "ingestion_report_stint",
    TABLES,
    Column("stint", Text, primary_key=True),
    Column("started_ns", BigInteger, nullable=False),
    Column("until_ns", BigInteger, nullable=False),
    Index("ingestion_report_stint_until", "until_ns"),
)
"""From when to when each server ran."""
STRETCH: Final = Table(
    "ingestion_report_stretch",
    TABLES,
    Column("start_minute", BigInteger, primary_key=True, autoincrement=False),
    Column("minutes", Integer, primary_key=True, autoincrement=False),
    Column("stint", Text, primary_key=True),
    Column("counted", LargeBinary, nullable=False),
)
"""What was counted, minute by minute; of some time ago, hour by hour."""
