"""Bodies that a server compressed although nobody asked it to."""

import zlib

from simia_async.clients.transport.answer import Answer
from simia_async.errors import BadReply

_LARGEST = 2**26
"""Bytes after decompression: a small body may claim to be an endless one."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def decompressed(answer: Answer) -> Answer:
    """The answer with its compression undone. Raises `BadReply` for one that cannot be."""
    coding = answer.headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return answer
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise BadReply(f"a body compressed with {coding[:20]!r}, which was not asked for")
    try:
        return Answer(answer.status, answer.headers, _inflated(answer.body))
    except zlib.error as error:
        raise BadReply(f"a body that is not the {coding} it claims to be: {error}") from error


def _inflated(body: bytes) -> bytes:
    pieces, size = [], 0
    while body:
        inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        pieces.append(inflate.decompress(body, _LARGEST - size + 1))
        size += len(pieces[-1])
        if size > _LARGEST:
            raise BadReply("an answer without end")
        if not inflate.eof:
            raise BadReply("a compressed body that breaks off")
        body = inflate.unused_data
    return b"".join(pieces)
