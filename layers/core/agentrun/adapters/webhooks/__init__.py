"""Webhooks: which hosts may be told, the HTTP requests, the queue, and the secrets that sign."""
