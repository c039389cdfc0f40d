"""The graph: five types of record, the edges between them, and the schema."""
