"""`agentrun doctor`, by the real boto3, on accounts that moto and a control plane stand for."""
