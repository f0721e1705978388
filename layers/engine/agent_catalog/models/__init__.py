"""Language models: which there are, and what is done to their requests and answers."""
