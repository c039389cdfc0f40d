"""Callers: how they are identified, which services they may read, and how many upstream calls they may cause."""
