"""`operations check` and `operations cost`: whether a client's operations fit the schema, and what they cost at most."""
