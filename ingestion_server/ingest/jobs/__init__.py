"""
Jobs: histories that are too long to wait for.

``planning`` turns what is wanted into units of work and says what they take: ``pieces``
asks whom a stretch would be asked of and cuts it so that each unit takes one call,
``finality`` leaves out what still forms, ``estimating`` tells calls, price and end.
``schedules`` says when a job runs again, by ``cron`` or after a close. ``running``
works on units, each as ``unit_work`` says, which ``hindrances`` tells what may pass;
``desk`` is what callers see of it all.
"""
