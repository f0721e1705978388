"""Simulate the real services under virtual time, with faults all around them."""
