"""
The command line: the server's verbs, for people.

A module named like a command declares its options and imports nothing heavy, so that
`--help` and shell completion are quick; what it does stands in another module, which
it imports when it is called. Data go to stdout, everything said about them to stderr.
"""
