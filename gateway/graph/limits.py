"""The limits on arguments of the graph. The schema's descriptions and the error messages are made from them."""

__all__ = [
    "CODES_MAX",
    "FIRST_DEFAULT",
    "FIRST_MAX",
    "IDS_MAX",
    "LAST_DEFAULT",
    "SCAN_DEFAULT",
    "SCAN_MAX",
    "SEARCH_CALLS_MAX",
    "UNREAD_MAX",
    "WATCHED_MAX",
]

FIRST_DEFAULT, FIRST_MAX = 50, 1000
"""Records in one page of a connection (`first`)."""
SCAN_DEFAULT, SCAN_MAX = 500, 1000
"""Rows that a filter looks at for one page (`scan`)."""
LAST_DEFAULT = 100
"""Messages that statistics of a conversation are made from (`last`)."""
SEARCH_CALLS_MAX = 250
"""Upstream calls of one search through a service's messages; it ends there, and its cursor continues it."""
UNREAD_MAX = 10
"""Lists that a search could not read when it ends."""
IDS_MAX = 100
"""Ids in one `nodes` field (`ids`)."""
CODES_MAX = 200
"""Error codes in one `deliveryErrors` field (`codes`)."""
WATCHED_MAX = 100
"""Conversations, or messages, that one subscription names."""
