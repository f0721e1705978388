"""Lambda, API Gateway and DynamoDB on a laptop, without Docker, and the `agentrun` command."""
