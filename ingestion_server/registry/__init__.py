"""
Whom to ask: what each vendor can do, in which order, and why not the others.

``recipe`` says what a vendor can do and ``selection`` who may be asked at all. How each
has done is remembered in ``health``, kept for all in ``standing`` and made a number in
``score``; ``route`` puts those who may be asked in order. Nothing here waits, and only
``standing`` looks at a clock.
"""
