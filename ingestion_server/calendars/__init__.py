"""
When each exchange is open: compact arrays, computed once outside this process.

``exchange_calendars`` needs pandas, which would cost the server a second of start
and tens of megabytes. So neither is ever imported here: a short-lived child
process computes a calendar, and its answer is kept as arrays, in memory and in a
cache folder.
"""

from ingestion_server.calendars.computed import ComputedCalendars

__all__ = ["ComputedCalendars"]
