"""Language models: how they are built, and what is done to their requests and answers."""
