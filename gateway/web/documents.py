"""Documents by name: a request may name the document it means, by a hash of its text or by an id, in place of the text.

A name comes in one of two forms, which mean the same: `documentId`
(https://graphql.github.io/graphql-over-http/draft/#sec-Persisted-Documents), where a hash is written `sha256:…`, and
`extensions.persistedQuery.sha256Hash` (https://www.apollographql.com/docs/apollo-server/performance/apq).
"""

from __future__ import annotations

from hashlib import sha256
from sys import getsizeof

from cachetools import LRUCache

from gateway.errors import BadRequest, PersistedQueryNotFound, PersistedQueryUnsupported
from gateway.web.protocol import GraphQLRequest

__all__ = ["Documents"]

_REMEMBERED_BYTES = 4 * 2**20
_BESIDE_TEXT = 500  # Bytes that an entry takes beside its text, about.
_SHA256 = "sha256:"


class Documents:
    """The documents that clients have sent with their hashes before: they may send the hash alone from then on."""

    def __init__(self, *, remembered_bytes: int = _REMEMBERED_BYTES) -> None:
        """Take how many bytes they may take; those not used for longest are forgotten."""
        self._remembered: LRUCache[str, str] = LRUCache(
            remembered_bytes, getsizeof=lambda text: getsizeof(text) + _BESIDE_TEXT
        )

    def find(self, asked: GraphQLRequest) -> tuple[str, str | None]:
        """The text of the document that a request holds or names, and the hash to remember it by once it was carried out.

        Raises `PersistedQueryNotFound`, `PersistedQueryUnsupported`, and `BadRequest` when there is neither text nor name,
        or when they do not fit.
        """
        text, digest = asked.query, _digest(asked)
        if text is not None:
            if digest is not None and sha256(text.encode("utf-8", "surrogatepass")).hexdigest() != digest:
                raise BadRequest("provided sha does not match query")  # Apollo's words.
            return text, digest
        if digest is not None:
            found = self._remembered.get(digest)
            if found is not None:
                return found, None
        elif asked.document_id is None:
            raise BadRequest("The request has no `query`, and names no document by `documentId`.")
        raise PersistedQueryNotFound

    def remember(self, digest: str, text: str) -> None:
        """Know a document by its hash from now on. It has been carried out: whoever sends garbage pushes nothing out."""
        self._remembered[digest] = text


def _digest(asked: GraphQLRequest) -> str | None:
    """The hash that a request names its document by, if it does."""
    if asked.document_id is not None:
        return asked.document_id.removeprefix(_SHA256) if asked.document_id.startswith(_SHA256) else None
    persisted = asked.extensions.get("persistedQuery") if asked.extensions else None
    if persisted is None:
        return None
    if not isinstance(persisted, dict):
        raise BadRequest("`extensions.persistedQuery` must be an object, with `version` and `sha256Hash`.")
    if persisted.get("version") != 1:
        raise PersistedQueryUnsupported
    digest = persisted.get("sha256Hash")
    if not isinstance(digest, str):
        raise BadRequest(
            "`extensions.persistedQuery.sha256Hash` must be text: the SHA-256 of the document, in hexadecimal."
        )
    return digest
