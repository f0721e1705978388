"""What the API takes and answers, as frozen dataclasses."""
