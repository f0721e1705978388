"""The API of both functions as an OpenAPI 3.1 document, made of the models that they use."""
