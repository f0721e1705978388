"""Other ways to serve an agent, asked the same questions from outside: `make compare`."""
