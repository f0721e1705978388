"""The domain: runs, events, errors and the ports they need; standard library and pydantic only."""
