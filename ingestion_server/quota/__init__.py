"""The ledger: what each vendor meters, what is left, and when it runs out."""
