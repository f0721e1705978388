"""The demo model's rules: pure functions, without pydantic-ai."""
