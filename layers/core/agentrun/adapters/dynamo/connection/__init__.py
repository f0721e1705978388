"""How requests reach DynamoDB: the client, its lighter way, its connections."""
