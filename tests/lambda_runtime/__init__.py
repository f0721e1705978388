"""A Lambda Runtime API on loopback, for tests and benchmarks, and the runtime's process."""
