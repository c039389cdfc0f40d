"""The graph: five kinds of record, the edges between them, and the schema they make."""
