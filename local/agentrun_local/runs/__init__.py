"""`agentrun runs`: list, show and stop the runs of a stack."""
