"""The adapters: ports filled with a technology (DynamoDB, JWT)."""
