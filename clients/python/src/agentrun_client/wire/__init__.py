"""What is sent and what an answer means, without any I/O: shared by both clients."""
