"""Exact and near duplicates among conversations.

Two conversations are compared by the runs of five words that they share (Jaccard similarity),
estimated from MinHash sketches. LSH bands only choose which earlier ones are looked at; the
estimate decides. Everything is seeded: the same conversations get the same answers in any process.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Self

import msgspec
from rensa import RMinHash, RMinHashLSH

from simia_async.messages import Message

_SHINGLE = 5
"""Words a shingle. With fewer, real conversations of one environment look alike because of their
keys and phrases; with more, one changed word weighs as much as a changed sentence.
"""
_PERMUTATIONS = 128
"""The estimate's standard error is `sqrt(s * (1 - s) / 128)`: 0.03 at 0.85, 0.04 at most."""
_SEED = 1
_RECALL = 0.98
"""The share of pairs just as similar as the threshold that the bands must bring to comparison."""

# Where words are not set apart by spaces, each character counts as a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_BLANK_PUNCTUATION = bytes(
    code if chr(code).isalnum() or chr(code) == "_" else ord(" ") for code in range(128)
).ljust(256)


class Sketch(msgspec.Struct, frozen=True):
    """A conversation's MinHash signature: about 600 bytes, whatever its length."""

    minhash: RMinHash

    def similarity(self, other: "Sketch") -> float:
        """The estimated share of shingles that both have, of those that either has."""
        return float(self.minhash.jaccard(other.minhash))

    def as_bytes(self) -> bytes:
        """For another process."""
        return bytes(self.minhash.__getstate__())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The sketch that `as_bytes` told of."""
        minhash = RMinHash(_PERMUTATIONS, _SEED)
        minhash.__setstate__(data)
        return cls(minhash)


class Duplicate(msgspec.Struct, frozen=True):
    """What a conversation repeats."""

    of: str
    """Key of the earlier one; of several, the most similar and then the earliest."""
    similarity: float
    exact: bool


def sketch(messages: Sequence[Message]) -> Sketch:
    """The signature of all that is said, called and observed.

    Letter case, punctuation, call ids, system messages and the order and spacing of JSON keys do
    not count. Pure; safe in any thread.
    """
    minhash = RMinHash(_PERMUTATIONS, _SEED)
    minhash.update(shingles(messages))
    return Sketch(minhash)


def shingles(messages: Sequence[Message]) -> Iterable[bytes]:
    """What a sketch stands for: every run of five words, or all words where there are fewer. The
    same run may come several times.
    """
    words: list[bytes] = []
    for message in messages:
        if message.role != "system":
            _add_words_of(message, words)
    if len(words) < _SHINGLE:
        return [b" ".join(words)]
    return map(b" ".join, zip(*(words[at:] for at in range(_SHINGLE)), strict=False))


def _add_words_of(message: Message, words: list[bytes]) -> None:
    content = message.content or ""
    # No word has a sign in it, so these marks are said by nobody.
    words.append(f"<{message.role}>".encode())
    words += _words(_normal_json(content) if message.role == "tool" else content)
    for call in message.tool_calls or ():
        words.append(b"<call>")
        words += _words(call.function.name)
        words += _words(_normal_json(call.function.arguments))


def _normal_json(text: str) -> str:
    """JSON with sorted keys and without spaces; anything else as it is."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return msgspec.json.encode(msgspec.json.decode(text), order="sorted").decode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return text


def _words(text: str) -> list[bytes]:
    if text.isascii():
        words = text.lower().encode().translate(_BLANK_PUNCTUATION).split()
    else:
        words = [word.encode() for word in _WORD.findall(text.lower())]
    # A message of signs only, as 👍, is not an empty one.
    return words or text.encode(errors="surrogatepass").split()


class Duplicates:
    """Tells whether a conversation says the same, or nearly the same, as one that was added.

    Not for several threads at once.
    """

    def __init__(self, similarity: float) -> None:
        """`similarity`: what counts as nearly the same, above 0; at 1.0 only exact duplicates
        count, and sketches are not needed.
        """
        self._similarity = similarity
        self._key_of: dict[str, str] = {}
        self._sketched: list[tuple[str, Sketch]] = []
        self._index = RMinHashLSH(similarity, _PERMUTATIONS, bands_for(similarity))

    def of(self, fingerprint: str, sketch: Sketch | None) -> Duplicate | None:
        """What the conversation repeats; None if it is new. Without a sketch it is only told
        whether it repeats one exactly.
        """
        if (key := self._key_of.get(fingerprint)) is not None:
            return Duplicate(key, 1.0, exact=True)
        if sketch is None or self._similarity >= 1:
            return None
        near = [
            (sketch.similarity(self._sketched[at][1]), -at)
            for at in self._index.query(sketch.minhash)
        ]
        similarity, at = max(near, default=(0.0, 0))
        if similarity < self._similarity:
            return None
        return Duplicate(self._sketched[-at][0], similarity, exact=False)

    def add(self, key: str, fingerprint: str, sketch: Sketch | None) -> None:
        """Whatever says the same as this is a duplicate from now on. `key` names it in answers."""
        self._key_of.setdefault(fingerprint, key)
        if sketch is not None and self._similarity < 1:
            self._index.insert(len(self._sketched), sketch.minhash)
            self._sketched.append((key, sketch))


def bands_for(similarity: float) -> int:
    """The fewest bands, and so the fewest comparisons in vain, that find enough of the pairs."""
    bands = 1
    while bands < _PERMUTATIONS and _recall(similarity, bands) < _RECALL:
        bands *= 2
    return bands


def _recall(similarity: float, bands: int) -> float:
    """The share of pairs of that similarity that agree in a whole band."""
    return 1 - (1 - similarity ** (_PERMUTATIONS // bands)) ** bands
