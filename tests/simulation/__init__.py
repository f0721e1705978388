"""A simulation of the real services under virtual time, with whatever may go wrong around them."""
