"""The agents of the simulation: what they are, and what plays their scripts."""
