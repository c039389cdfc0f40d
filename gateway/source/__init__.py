"""What outlives a request: entries by key, bounded. How long one is good is decided by whoever asks."""
