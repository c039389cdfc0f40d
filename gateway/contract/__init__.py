"""What clients rely on, checked without an account: schema changes, client operations, and what these cost.

`schema/` uses `operations/` for a client's documents, never the reverse; what both need is here.
"""

__all__ = ["CheckError"]


class CheckError(Exception):
    """A check that cannot be made, because its input is missing or unreadable; the message is for people, in lines."""
