"""The demo model's rules: what it says to what, without a network."""
