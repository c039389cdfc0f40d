"""Who asks, which services they may read, and how many upstream calls they may cause."""
