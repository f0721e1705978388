"""The commands of `agentrun` that talk to a deployment: chat, run, runs, replay and others."""
