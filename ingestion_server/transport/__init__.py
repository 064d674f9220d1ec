"""The only doors to the network; foreign exceptions stop here."""
