"""Media of requests, fetched from public hosts only."""
