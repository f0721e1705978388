"""The two doors: what API Gateway and a Function URL do with a request."""
