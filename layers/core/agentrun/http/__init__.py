"""The wire: Server-Sent Events, problem+json, authentication of requests."""
