"""Text of a turn while its tokens come: whole characters, and nothing of a stop text."""

from collections.abc import Sequence

from simia_async.rendering.renderer import Renderer

_NOT_WHOLE = "�"
"""What a character is decoded to while parts of it are missing."""


def text_of(renderer: Renderer, ids: list[int]) -> str:
    """Text of tokens, an end-of-turn token at their end included."""
    ended = bool(ids) and ids[-1] == renderer.eos_id
    return renderer.decode(ids) + (renderer.eos if ended else "")


class Speech:
    """What one turn has said so far. All pieces together are its text."""

    def __init__(self, renderer: Renderer, stops: Sequence[str] = ()) -> None:
        self.stop: str | None = None
        """The stop text that has come."""
        self._renderer = renderer
        self._stops = stops
        self._ids: list[int] = []
        self._window = 0
        """Tokens before here are not decoded again."""
        self._shown = 0
        """The last token that ended with a whole character is before here."""
        self._taken = 0
        """Length of the window's text that is in `_text`."""
        self._text = ""
        self._told = 0

    def hear(self, token: int) -> str:
        """Take one token; gives what can be told now. After a stop text nothing is heard."""
        self._ids.append(token)
        now = text_of(self._renderer, self._ids[self._window :])
        sure = now.rstrip(_NOT_WHOLE)
        piece, self._taken = sure[self._taken :], max(self._taken, len(sure))
        if piece and sure == now:
            self._window, self._shown = self._shown, len(self._ids)
            self._taken = len(text_of(self._renderer, self._ids[self._window :]))
        return self._grow(piece) if piece else ""

    def finish(self) -> str:
        """The rest, when the turn has ended."""
        if self.stop is None:
            self._text += text_of(self._renderer, self._ids[self._window :])[self._taken :]
        return self._tell(len(self._text))

    @property
    def text(self) -> str:
        """All of it, up to the stop text."""
        return self._text

    def _grow(self, piece: str) -> str:
        longest = max(map(len, self._stops), default=1)
        start = max(0, len(self._text) + 1 - longest)
        self._text += piece
        found = [(at, s) for s in self._stops if (at := self._text.find(s, start)) >= 0]
        if found:
            at, self.stop = min(found)
            self._text = self._text[:at]
        return self._tell(len(self._text) - self._held())

    def _held(self) -> int:
        """Length of what may turn out to be the beginning of a stop text."""
        if self.stop is not None:
            return 0
        return max((overlap(self._text, stop) for stop in self._stops), default=0)

    def _tell(self, end: int) -> str:
        piece = self._text[self._told : end]
        self._told = end
        return piece


def overlap(text: str, word: str) -> int:
    """Length of the longest beginning of `word`, not all of it, that `text` ends with."""
    lengths = range(min(len(text), len(word) - 1), 0, -1)
    return next((length for length in lengths if text.endswith(word[:length])), 0)
