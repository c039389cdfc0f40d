"""What clients rely on, checked from outside: their documents, against the schema, and what these cost."""
