"""
How one call is made: a list of steps around `send`.

The order of ``pipeline.standard_policies``, outermost first, and why:

1. ``Breaker``: judges what a question comes to after all its tries, so that a vendor
   of which some calls fail is made use of, and only one that answers nobody rests. It
   is outermost also since a vendor that rests costs no quota and makes nobody wait.
2. ``Retry``: each try is a call of its own, so it goes through all the rest.
3. ``Reserve``: waits for quota. What it refuses never gets to ``Breaker.watch``, so our
   own "not now" is no sign of health or sickness.
4. ``Breaker.watch``: decides once more, since the vendor may have failed while this
   try was waiting, for quota or after a failure; an open breaker is never bypassed.
   What had been reserved is given back, because the call did not leave. Only here
   a call becomes the probe: none holds the one place there is for it while it waits.
5. ``Tell``: hears exactly of the calls that left, and of those that timed out.
6. ``Deadline``: bounds the call itself; waiting for quota is bounded by ``Reserve``.
"""
