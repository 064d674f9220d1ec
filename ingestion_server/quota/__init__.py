"""
The ledger: what each vendor meters, what is left, what it costs, when it runs out.

``meters``, ``admission``, ``forecast`` and their like decide and are told the time;
``account`` lets the callers of one vendor wait; ``journal`` is the one file that
must survive; ``ledger`` holds them together. It knows no vendor.
"""
