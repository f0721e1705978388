"""How each peer is asked: its own routes and its own words."""
