"""What must survive a restart and is no quota: so far, what operators changed."""
