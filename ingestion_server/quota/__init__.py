"""
The ledger: what each vendor meters, what is left, and when it runs out.

``meters`` hold what one window has seen, ``admission`` decides about all windows of
a vendor together; both are pure and are told the time. ``rolling`` is the shell that
lets callers wait. No I/O, and no knowledge of vendors.
"""
