"""Persisted documents: a request may have the hash of a document, or the id of a trusted one, in place of its text.

There are two equivalent places for it: `documentId`
(https://graphql.github.io/graphql-over-http/draft/#sec-Persisted-Documents), where a hash is written `sha256:…`, and
`extensions.persistedQuery.sha256Hash` (https://www.apollographql.com/docs/apollo-server/performance/apq). A value that is not a
hash is the id of a trusted document.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from sys import getsizeof

from cachetools import LRUCache

from gateway.errors import BadRequest, Forbidden, PersistedQueryNotFound, PersistedQueryUnsupported
from gateway.web.graphql_over_http import GraphQLRequest

__all__ = ["Documents"]

_REMEMBERED_BYTES = 4 * 2**20
_ENTRY_BYTES = 500  # Approximate size of an entry without its text.
_SHA256 = "sha256:"


class Documents:
    """The trusted documents, and the documents that clients have sent with their hashes (automatic persisted queries)."""

    def __init__(
        self,
        trusted: Mapping[str, str] | None = None,
        *,
        trusted_only: bool = False,
        remembered_bytes: int = _REMEMBERED_BYTES,
    ) -> None:
        """Create the store with trusted documents by their ids. With `trusted_only`, every other document is refused.

        Documents that clients send are remembered up to a total of `remembered_bytes`; the least recently used are evicted.
        """
        self._trusted_only = trusted_only
        self._remembered: LRUCache[str, str] = LRUCache(
            remembered_bytes, getsizeof=lambda text: getsizeof(text) + _ENTRY_BYTES
        )
        self.trust(trusted or {})

    def trust(self, trusted: Mapping[str, str]) -> None:
        """Trust these documents, in place of the earlier ones. Each can be requested by its id, and by its hash."""
        hashes = {_hash(text): text for text in trusted.values()}
        self._trusted = {**hashes, **{_SHA256 + digest: text for digest, text in hashes.items()}, **trusted}
        self._texts = frozenset(trusted.values())
        self.trusted: Mapping[str, str] = dict(trusted)
        """The trusted documents by id."""

    def find(self, asked: GraphQLRequest) -> tuple[str, str | None]:
        """Return the text of the requested document, and the hash to `remember` it by once it was executed, if any.

        Raises `PersistedQueryNotFound`, `PersistedQueryUnsupported`, `Forbidden` for a document that is not trusted where it
        must be, and `BadRequest` when there is neither text nor id, or when they do not match.
        """
        text = asked.query
        if text and asked.document_id is None and asked.extensions is None and not self._trusted_only:
            return text, None
        digest = _digest(asked)
        document_id = digest if asked.document_id is None else asked.document_id
        if text == "" and document_id is not None:
            text = None  # As some clients write that they send no text.
        trusted = self._trusted.get(document_id) if document_id is not None else None
        if text is None:
            if document_id is None:
                raise BadRequest("The request has no `query` and no `documentId`.")
            found = trusted or (self._remembered.get(digest) if digest is not None else None)
            if found is None:
                raise PersistedQueryNotFound
            return found, None
        matches = text == trusted if trusted is not None else digest is None or _hash(text) == digest
        if not matches:
            if asked.document_id is not None:
                raise BadRequest("`documentId` and `query` are different documents.")
            raise BadRequest("provided sha does not match query")  # Apollo's message.
        if self._trusted_only and text not in self._texts:
            raise Forbidden("Only trusted documents are executed here: request one by its `documentId`.")
        return text, digest if trusted is None else None

    def remember(self, digest: str, text: str) -> None:
        """Remember a document that was executed successfully, so that invalid ones cannot evict valid ones."""
        self._remembered[digest] = text


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _digest(asked: GraphQLRequest) -> str | None:
    """Return the hash that a request has for its document, if any."""
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
            "`extensions.persistedQuery.sha256Hash` must be a string: the SHA-256 of the document, in hexadecimal."
        )
    return digest
