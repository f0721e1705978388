"""What this machine stands in for: DynamoDB, a token issuer, secrets."""
