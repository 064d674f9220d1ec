"""The command line: the server's verbs, for people."""
