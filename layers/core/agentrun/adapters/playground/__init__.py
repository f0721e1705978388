"""The playground's files in a bucket, put there when CloudFormation asks for it."""
