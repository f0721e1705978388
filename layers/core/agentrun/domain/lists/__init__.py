"""Lists of runs and approvals, and the cursors of all lists."""
