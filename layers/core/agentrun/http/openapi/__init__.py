"""The API of both functions as an OpenAPI 3.1 document, made from the classes that they use."""
