"""Bearer tokens: signatures, claims, keys."""
