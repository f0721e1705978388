"""A run as a person sees it, while it happens or again."""
