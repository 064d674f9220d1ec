"""The contract's enums, and the words the house uses for them."""

from __future__ import annotations

from typing import Final

from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    job_pb2,
    provenance_pb2,
    provider_pb2,
    quota_pb2,
    source_policy_pb2,
    stream_pb2,
)

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.jobs import JobState, UnitState
from ingestion_server.domain.quality import FlagKind
from ingestion_server.domain.query import Priority, SourceMode
from ingestion_server.domain.result import Completeness, Outcome
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ports.budget import Counts, Scope, WindowKind
from ingestion_server.ports.live import SlowPolicy, StreamEventKind
from ingestion_server.ports.policy import BreakerPosition
from ingestion_server.ports.quota import AlertKind, Lane, Origin
from ingestion_server.ports.routing import EventKind

INTERVALS: Final = {
    bar_pb2.INTERVAL_UNSPECIFIED: Interval.DAY_1,
    bar_pb2.INTERVAL_1_MINUTE: Interval.MINUTE_1,
    bar_pb2.INTERVAL_5_MINUTES: Interval.MINUTE_5,
    bar_pb2.INTERVAL_15_MINUTES: Interval.MINUTE_15,
    bar_pb2.INTERVAL_30_MINUTES: Interval.MINUTE_30,
    bar_pb2.INTERVAL_1_HOUR: Interval.HOUR_1,
    bar_pb2.INTERVAL_1_DAY: Interval.DAY_1,
    bar_pb2.INTERVAL_1_WEEK: Interval.WEEK_1,
    bar_pb2.INTERVAL_1_MONTH: Interval.MONTH_1,
}
INTERVAL_CODES: Final = {word: code for code, word in INTERVALS.items() if code}
ADJUSTMENTS: Final = {
    bar_pb2.ADJUSTMENT_UNSPECIFIED: Adjustment.SPLIT,
    bar_pb2.ADJUSTMENT_RAW: Adjustment.RAW,
    bar_pb2.ADJUSTMENT_SPLIT: Adjustment.SPLIT,
    bar_pb2.ADJUSTMENT_SPLIT_DIVIDEND: Adjustment.SPLIT_DIVIDEND,
}
ADJUSTMENT_CODES: Final = {word: code for code, word in ADJUSTMENTS.items() if code}
ASSET_CLASSES: Final = {
    ingestion_service_pb2.ASSET_CLASS_UNSPECIFIED: None,
    ingestion_service_pb2.ASSET_CLASS_EQUITY: AssetClass.EQUITY,
    ingestion_service_pb2.ASSET_CLASS_FX: AssetClass.FX,
    ingestion_service_pb2.ASSET_CLASS_CRYPTO: AssetClass.CRYPTO,
    ingestion_service_pb2.ASSET_CLASS_INDEX: AssetClass.INDEX,
    ingestion_service_pb2.ASSET_CLASS_FUTURE: AssetClass.FUTURE,
}
ASSET_CLASS_CODES: Final = {word: code for code, word in ASSET_CLASSES.items() if word}
HOURS: Final = {
    ingestion_service_pb2.SESSION_UNSPECIFIED: TradingHours.REGULAR,
    ingestion_service_pb2.SESSION_REGULAR: TradingHours.REGULAR,
    ingestion_service_pb2.SESSION_EXTENDED: TradingHours.EXTENDED,
}
HOURS_CODES: Final = {word: code for code, word in HOURS.items() if code}
MODES: Final = {
    source_policy_pb2.SourcePolicy.MODE_UNSPECIFIED: SourceMode.ANY,
    source_policy_pb2.SourcePolicy.MODE_ANY: SourceMode.ANY,
    source_policy_pb2.SourcePolicy.MODE_ORDERED: SourceMode.ORDERED,
    source_policy_pb2.SourcePolicy.MODE_PINNED: SourceMode.PINNED,
    source_policy_pb2.SourcePolicy.MODE_CONSENSUS: SourceMode.CONSENSUS,
}
MODE_CODES: Final = {word: code for code, word in MODES.items() if code}
PRIORITIES: Final = {
    ingestion_service_pb2.PRIORITY_UNSPECIFIED: None,
    ingestion_service_pb2.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    ingestion_service_pb2.PRIORITY_BATCH: Priority.BATCH,
}
STATE_CODES: Final = {
    BarState.FINAL: bar_pb2.BAR_STATE_FINAL,
    BarState.PARTIAL: bar_pb2.BAR_STATE_PARTIAL,
    BarState.REVISED: bar_pb2.BAR_STATE_REVISED,
}
COMPLETENESS_CODES: Final = {
    Completeness.COMPLETE: provenance_pb2.COMPLETENESS_COMPLETE,
    Completeness.PARTIAL: provenance_pb2.COMPLETENESS_PARTIAL,
    Completeness.DEGRADED: provenance_pb2.COMPLETENESS_DEGRADED,
}
OUTCOME_CODES: Final = {
    Outcome.SERVED: provenance_pb2.ATTEMPT_OUTCOME_SERVED,
    Outcome.NO_DATA: provenance_pb2.ATTEMPT_OUTCOME_NO_DATA,
    Outcome.FAILED: provenance_pb2.ATTEMPT_OUTCOME_FAILED,
    Outcome.SKIPPED: provenance_pb2.ATTEMPT_OUTCOME_SKIPPED,
    Outcome.OVERTAKEN: provenance_pb2.ATTEMPT_OUTCOME_OVERTAKEN,
}
FLAG_CODES: Final = {
    FlagKind.ROW_QUARANTINED: provenance_pb2.QUALITY_FLAG_KIND_ROW_QUARANTINED,
    FlagKind.ROW_EMPTY: provenance_pb2.QUALITY_FLAG_KIND_ROW_EMPTY,
    FlagKind.FIELD_ABSENT: provenance_pb2.QUALITY_FLAG_KIND_FIELD_ABSENT,
    FlagKind.CALENDAR_UNKNOWN: provenance_pb2.QUALITY_FLAG_KIND_CALENDAR_UNKNOWN,
    FlagKind.DERIVED: provenance_pb2.QUALITY_FLAG_KIND_DERIVED,
    FlagKind.FLAGS_OMITTED: provenance_pb2.QUALITY_FLAG_KIND_FLAGS_OMITTED,
    FlagKind.LABEL_ASSUMED: provenance_pb2.QUALITY_FLAG_KIND_LABEL_ASSUMED,
    FlagKind.STALE: provenance_pb2.QUALITY_FLAG_KIND_STALE,
    FlagKind.DISAGREEMENT: provenance_pb2.QUALITY_FLAG_KIND_DISAGREEMENT,
    FlagKind.UNCONFIRMED: provenance_pb2.QUALITY_FLAG_KIND_UNCONFIRMED,
}
LANES: Final = {
    ingestion_service_pb2.PRIORITY_UNSPECIFIED: Lane.BATCH,
    ingestion_service_pb2.PRIORITY_INTERACTIVE: Lane.INTERACTIVE,
    ingestion_service_pb2.PRIORITY_BATCH: Lane.BATCH,
}
SCOPE_CODES: Final = {
    Scope.KEY: quota_pb2.QUOTA_SCOPE_KEY,
    Scope.IP: quota_pb2.QUOTA_SCOPE_IP,
    Scope.ACCOUNT: quota_pb2.QUOTA_SCOPE_ACCOUNT,
    Scope.CONNECTION: quota_pb2.QUOTA_SCOPE_CONNECTION,
}
WINDOW_KIND_CODES: Final = {
    WindowKind.ROLLING: quota_pb2.QUOTA_WINDOW_KIND_ROLLING,
    WindowKind.FIXED: quota_pb2.QUOTA_WINDOW_KIND_FIXED,
    WindowKind.BUCKET: quota_pb2.QUOTA_WINDOW_KIND_BUCKET,
}
COUNTS_CODES: Final = {
    Counts.CALLS: quota_pb2.QUOTA_COUNTS_CALLS,
    Counts.UNITS: quota_pb2.QUOTA_COUNTS_UNITS,
}
ORIGIN_CODES: Final = {
    Origin.DECLARED: quota_pb2.QUOTA_SOURCE_DECLARED,
    Origin.CONFIGURED: quota_pb2.QUOTA_SOURCE_CONFIGURED,
    Origin.HEADER: quota_pb2.QUOTA_SOURCE_HEADER,
}
ALERT_CODES: Final = {
    AlertKind.USED_80_PERCENT: quota_pb2.QUOTA_ALERT_KIND_USED_80_PERCENT,
    AlertKind.USED_95_PERCENT: quota_pb2.QUOTA_ALERT_KIND_USED_95_PERCENT,
    AlertKind.VIOLATION: quota_pb2.QUOTA_ALERT_KIND_VIOLATION,
}
STAGE_CODES: Final = {
    "active": provider_pb2.ProviderLifecycle.STAGE_ACTIVE,
    "deprecated": provider_pb2.ProviderLifecycle.STAGE_DEPRECATED,
    "retired": provider_pb2.ProviderLifecycle.STAGE_RETIRED,
}
BREAKER_CODES: Final = {
    BreakerPosition.CLOSED: provider_pb2.Breaker.STATE_CLOSED,
    BreakerPosition.OPEN: provider_pb2.Breaker.STATE_OPEN,
    BreakerPosition.HALF_OPEN: provider_pb2.Breaker.STATE_HALF_OPEN,
}
EVENT_CODES: Final = {
    EventKind.BREAKER_OPENED: provider_pb2.ProviderEvent.KIND_BREAKER_OPENED,
    EventKind.BREAKER_HALF_OPEN: provider_pb2.ProviderEvent.KIND_BREAKER_HALF_OPEN,
    EventKind.BREAKER_CLOSED: provider_pb2.ProviderEvent.KIND_BREAKER_CLOSED,
    EventKind.UPDATED: provider_pb2.ProviderEvent.KIND_UPDATED,
}
TICK_KINDS: Final = {
    stream_pb2.TICK_KIND_UNSPECIFIED: TickKind.TRADES,
    stream_pb2.TICK_KIND_TRADES: TickKind.TRADES,
    stream_pb2.TICK_KIND_QUOTES: TickKind.QUOTES,
    stream_pb2.TICK_KIND_BARS: TickKind.BARS,
}
TICK_KIND_CODES: Final = {word: code for code, word in TICK_KINDS.items() if code}
SLOW_POLICIES: Final = {
    stream_pb2.SLOW_CONSUMER_UNSPECIFIED: SlowPolicy.CONFLATE,
    stream_pb2.SLOW_CONSUMER_CONFLATE: SlowPolicy.CONFLATE,
    stream_pb2.SLOW_CONSUMER_DROP_OLDEST: SlowPolicy.DROP_OLDEST,
    stream_pb2.SLOW_CONSUMER_DISCONNECT: SlowPolicy.DISCONNECT,
}
STREAM_EVENT_CODES: Final = {
    StreamEventKind.SUBSCRIBED: stream_pb2.StreamEvent.KIND_SUBSCRIBED,
    StreamEventKind.REJECTED: stream_pb2.StreamEvent.KIND_REJECTED,
    StreamEventKind.GAP: stream_pb2.StreamEvent.KIND_GAP,
    StreamEventKind.BACKFILLED: stream_pb2.StreamEvent.KIND_BACKFILLED,
    StreamEventKind.SOURCE_CHANGED: stream_pb2.StreamEvent.KIND_SOURCE_CHANGED,
    StreamEventKind.STALE: stream_pb2.StreamEvent.KIND_STALE,
    StreamEventKind.HEARTBEAT: stream_pb2.StreamEvent.KIND_HEARTBEAT,
    StreamEventKind.CONFLATED: stream_pb2.StreamEvent.KIND_CONFLATED,
}
JOB_STATES: Final = {
    job_pb2.JOB_STATE_RUNNING: JobState.RUNNING,
    job_pb2.JOB_STATE_PAUSED: JobState.PAUSED,
    job_pb2.JOB_STATE_PAUSED_QUOTA: JobState.PAUSED_QUOTA,
    job_pb2.JOB_STATE_SCHEDULED: JobState.SCHEDULED,
    job_pb2.JOB_STATE_COMPLETED: JobState.COMPLETED,
    job_pb2.JOB_STATE_INCOMPLETE: JobState.INCOMPLETE,
    job_pb2.JOB_STATE_CANCELLED: JobState.CANCELLED,
}
JOB_STATE_CODES: Final = {word: code for code, word in JOB_STATES.items()}
UNIT_STATES: Final = {
    job_pb2.UNIT_STATE_PENDING: UnitState.PENDING,
    job_pb2.UNIT_STATE_RUNNING: UnitState.RUNNING,
    job_pb2.UNIT_STATE_LANDED: UnitState.LANDED,
    job_pb2.UNIT_STATE_PARTIAL: UnitState.PARTIAL,
    job_pb2.UNIT_STATE_FAILED: UnitState.FAILED,
    job_pb2.UNIT_STATE_CANCELLED: UnitState.CANCELLED,
}
UNIT_STATE_CODES: Final = {word: code for code, word in UNIT_STATES.items()}
