"""What must survive a restart and is no quota: operators' changes, jobs, bars."""
