"""Projects outside this repository: how they are made, built, upgraded and deployed."""
