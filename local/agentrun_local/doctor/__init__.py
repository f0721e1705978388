"""What stands in the way of a deployment, looked up with the developer's own credentials."""
