"""Where a command's requests go, and as whom: options, variables, profiles and tokens."""
