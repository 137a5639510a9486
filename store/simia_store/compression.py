"""Payloads of finished runs, compressed with zstd and a dictionary trained on the run itself.

The writer never compresses: at its rate that would cost more than the rest of a write. `compact`
does, and readers tell a compressed payload by zstd's magic number, which no JSON begins with.
"""

from collections.abc import Callable, Sequence

import zstandard

_MAGIC = b"\x28\xb5\x2f\xfd"
_LEVEL = 12
_DICTIONARY_BYTES = 112_640


def is_compressed(payload: bytes) -> bool:
    """Whether `payload` is a zstd frame."""
    return payload.startswith(_MAGIC)


class Decompressor:
    """Reads compressed payloads. `load` gives the dictionary of an id; each is asked for once."""

    def __init__(self, load: Callable[[int], bytes]) -> None:
        self._load = load
        self._ready: dict[int, zstandard.ZstdDecompressor] = {}

    def decompress(self, payload: bytes) -> bytes:
        """What was compressed. The frame names the dictionary it needs."""
        number = zstandard.get_frame_parameters(payload).dict_id
        if number not in self._ready:
            dictionary = zstandard.ZstdCompressionDict(self._load(number)) if number else None
            self._ready[number] = zstandard.ZstdDecompressor(dict_data=dictionary)
        return self._ready[number].decompress(payload)


class Compressor:
    """Compresses payloads like the samples it was trained on, with a dictionary of this number.

    Without enough samples to train on it compresses each payload for itself.
    """

    def __init__(self, samples: Sequence[bytes], number: int) -> None:
        self.dictionary: bytes | None = None
        trained = None
        try:
            trained = zstandard.train_dictionary(_DICTIONARY_BYTES, list(samples), dict_id=number)
        except zstandard.ZstdError:
            pass  # too few samples, or too small
        else:
            self.dictionary = trained.as_bytes()
        self._zstd = zstandard.ZstdCompressor(level=_LEVEL, dict_data=trained)

    def compress(self, payload: bytes) -> bytes:
        """`payload` as a zstd frame, or as it is if that is no longer."""
        frame = self._zstd.compress(payload)
        return frame if len(frame) < len(payload) else payload
