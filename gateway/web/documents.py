"""Documents by name: a request may name the document it means, by a hash of its text or by an id, in place of the text.

A name comes in one of two forms, which mean the same: `documentId`
(https://graphql.github.io/graphql-over-http/draft/#sec-Persisted-Documents), where a hash is written `sha256:…`, and
`extensions.persistedQuery.sha256Hash` (https://www.apollographql.com/docs/apollo-server/performance/apq).
What is no hash is the id of a trusted document.
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
_BESIDE_TEXT = 500  # Bytes that an entry takes beside its text, about.
_SHA256 = "sha256:"


class Documents:
    """The documents that have names: those that are trusted, and those that clients have sent with their hashes before."""

    def __init__(
        self,
        trusted: Mapping[str, str] | None = None,
        *,
        trusted_only: bool = False,
        remembered_bytes: int = _REMEMBERED_BYTES,
    ) -> None:
        """Take the trusted documents by their ids, and whether no others are let through.

        Of what clients send so many bytes are remembered; what was not used for longest is forgotten.
        """
        self._trusted_only = trusted_only
        self._remembered: LRUCache[str, str] = LRUCache(
            remembered_bytes, getsizeof=lambda text: getsizeof(text) + _BESIDE_TEXT
        )
        self.trust(trusted or {})

    def trust(self, trusted: Mapping[str, str]) -> None:
        """Trust these documents from now on, and no others. Each is known by its hash too, in both forms."""
        hashes = {_hash(text): text for text in trusted.values()}
        self._trusted = {**hashes, **{_SHA256 + digest: text for digest, text in hashes.items()}, **trusted}
        self._texts = frozenset(trusted.values())

    def find(self, asked: GraphQLRequest) -> tuple[str, str | None]:
        """The text of the document that a request holds or names, and the hash to remember it by once it was carried out.

        Raises `PersistedQueryNotFound`, `PersistedQueryUnsupported`, `Forbidden` for a document that would have to be
        trusted, and `BadRequest` when there is neither text nor name, or when they do not fit.
        """
        text, digest = asked.query, _digest(asked)
        name = digest if asked.document_id is None else asked.document_id
        trusted = self._trusted.get(name) if name is not None else None
        if text is None:
            if name is None:
                raise BadRequest("The request has no `query`, and names no document by `documentId`.")
            found = trusted or (self._remembered.get(digest) if digest is not None else None)
            if found is None:
                raise PersistedQueryNotFound
            return found, None
        is_named_so = text == trusted if trusted is not None else digest is None or _hash(text) == digest
        if not is_named_so:
            if asked.document_id is not None:
                raise BadRequest("`documentId` names another document than `query` holds.")
            raise BadRequest("provided sha does not match query")  # Apollo's words.
        if self._trusted_only and text not in self._texts:
            raise Forbidden("Only trusted documents are carried out here: name one by its `documentId`.")
        return text, digest if trusted is None else None

    def remember(self, digest: str, text: str) -> None:
        """Know a document by its hash from now on. It has been carried out: whoever sends garbage pushes nothing out."""
        self._remembered[digest] = text


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


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
