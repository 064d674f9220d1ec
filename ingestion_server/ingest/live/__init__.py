"""
Live data: one upstream connection per vendor, shared by all who subscribe.

``pump`` keeps a connection to a vendor, ``channel`` is the data of one instrument by a
route of vendors, ``publishing`` numbers what happens and hands it out in batches that
are encoded once, ``mailbox`` holds what one subscriber has not read, and ``hub`` joins
them.
"""
