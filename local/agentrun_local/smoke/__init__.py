"""`agentrun smoke`: what a deployed stack has to do, tried from outside, point by point."""
