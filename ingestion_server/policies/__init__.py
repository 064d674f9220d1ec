"""
How one call is made: a list of steps around `send`.

The order of ``pipeline.standard_policies``, outermost first, and why:

1. ``Retry``: each try is a call of its own, so it goes through all the rest.
2. ``Breaker.gate``: a vendor that rests costs no quota and makes nobody wait for it.
3. ``Reserve``: waits for quota. It is outside of the breaker, so that our own "not
   now" is no sign of health or sickness, and so that a probe never holds the one
   place there is for it while it waits for quota.
4. ``Breaker``: decides once more, since the vendor may have failed while this call
   was waiting; an open breaker is never bypassed. What had been reserved is given
   back, because the call did not leave.
5. ``Tell``: hears exactly of the calls that left, and of those that timed out.
6. ``Deadline``: bounds the call itself; waiting for quota is bounded by ``Reserve``.
"""
