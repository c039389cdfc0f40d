"""What clients rely on, checked from outside: their documents, against the schema, and what these cost."""

__all__ = ["CheckError"]


class CheckError(Exception):
    """A check that cannot be made, as something it needs is not there or is none; the message is for people, in lines."""
