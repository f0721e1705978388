"""From plain functions to tools."""
