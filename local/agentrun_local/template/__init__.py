"""What `template.yaml` says, as CloudFormation would understand it."""
