"""A Twilio account that executes operations: the operation as a value, cached answers, coalescing, and limits."""
