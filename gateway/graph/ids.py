"""Node ids: opaque and permanent. An id holds the whole path of a record: a receipt cannot be fetched by its sid alone.

An id is base64url of: a version, the type's letter, and the sids of the record's path. Version 1 packs each sid's 32
lower-case hex digits into 16 bytes; version 2 keeps the digits as they are, for a sid that holds capitals.
"""

from base64 import urlsafe_b64decode
from binascii import b2a_base64, unhexlify
from collections.abc import Iterable, Sequence
from functools import lru_cache

from gateway.errors import BadUserInput
from gateway.twilio.paths import checked_sid, child, sids_of
from gateway.twilio.resources import Resource

__all__ = ["decode_id", "encode_id", "encode_ids"]

_PACKED, _VERBATIM = 1, 2
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def encode_id(resource: Resource, path: str) -> str:
    """Return the id of the record at `path`."""
    list_path, _, sid = path.rpartition("/")
    own, head = sid[2:], _head(resource.letter, list_path)
    if head is not None and own == own.lower():
        packed = b2a_base64(head[1] + unhexlify(own), newline=False)
        return head[0] + packed.translate(_URL_SAFE, b"=\n").decode()
    digits = "".join(each[2:] for each in sids_of(path))
    return _to_text(bytes([_VERBATIM]) + resource.letter.encode() + digits.encode())


def encode_ids(resource: Resource, list_path: str, sids: Sequence[str]) -> list[str]:
    """Return the ids of the records with these sids in the list at `list_path`: `encode_id` of each, encoded together."""
    digits = [sid[2:] for sid in sids]
    every, head = "".join(digits), _head(resource.letter, list_path)
    if head is None or every != every.lower():
        return [encode_id(resource, f"{list_path}/{sid}") for sid in sids]
    start, over = head[0], head[1].hex()
    # Padded to 18 bytes, each record's part is 24 characters, of which the last ones encode the padding alone.
    padding = "00" * (2 - len(head[1]))
    text = b2a_base64(unhexlify(over + (padding + over).join(digits) + padding)).translate(_URL_SAFE).decode()
    length = 22 + len(head[1])
    return [start + text[at : at + length] for at in range(0, 24 * len(digits), 24)]


@lru_cache(maxsize=4096)
def _head(letter: str, list_path: str) -> tuple[str, bytes] | None:
    """Return the common start of the packed ids of a list's records, and the remaining bytes; None if they cannot be packed."""
    digits = "".join(sid[2:] for sid in sids_of(list_path))
    if digits.lower() != digits:
        return None
    data = bytes([_PACKED]) + letter.encode() + bytes.fromhex(digits)
    over = len(data) % 3
    return _to_text(data[: len(data) - over]), data[len(data) - over :]


def decode_id(resources: Iterable[Resource], node_id: str) -> tuple[Resource, str]:
    """Return the resource and the path of the record with this id; raises `BadUserInput` for any other text."""
    letters = {resource.letter: resource for resource in resources}
    try:
        data = urlsafe_b64decode(node_id + "=" * (-len(node_id) % 4))
        resource = letters[chr(data[1])]
        digits = data[2:].hex() if data[0] == _PACKED else data[2:].decode("ascii")
        lineage = (*resource.ancestors, resource)
        path = ""
        for level, owner in enumerate(lineage):
            path = child(path, owner.collection, checked_sid(owner.prefix + digits[level * 32 :][:32], owner.prefix))
        if encode_id(resource, path) != node_id:  # A record has exactly one id.
            raise ValueError("not canonical")
    except (BadUserInput, ValueError, KeyError, IndexError):
        raise BadUserInput("This is not an id of this API. Ids are opaque: pass the value of an `id` field.") from None
    return resource, path


def _to_text(data: bytes) -> str:
    return b2a_base64(data).translate(_URL_SAFE, b"=\n").decode()
