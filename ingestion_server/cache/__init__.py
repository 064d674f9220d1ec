"""
What we already know: bar segments, single flight, encoded replies.

Everything is bounded, forgets what is too old, and asks a question once however many
ask it at the same time. What to keep, and for how long, is for the callers to know.
"""
