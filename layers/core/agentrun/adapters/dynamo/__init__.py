"""Runs, events, sessions and quotas in one DynamoDB table."""
