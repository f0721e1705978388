"""S3: what is too large for the table."""
