"""What runs inside the measured processes, and nothing of the bench beside it."""
