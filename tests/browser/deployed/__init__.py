"""The playground as it is deployed, and an issuer to sign in at."""
