"""SQS: the queue of runs that wait for an executor."""
