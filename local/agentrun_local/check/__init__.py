"""`agentrun check`: find what is wrong with a project before anything of it is built."""
