"""The commands `operations check` and `operations cost`: whether a client's operations are valid, and what they cost."""
