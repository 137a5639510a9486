"""A conversation written as lines of a given width: as talk, as tokens, or as raw JSON."""

from collections.abc import Iterator
from math import exp
from typing import Any, Literal

import msgspec
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from simia_store import TurnRecord
from textual.strip import Strip

from simia_tui.conversation import Conversation
from simia_tui.palette import Palette
from simia_tui.text import clean, clean_line, fit, wrap

View = Literal["talk", "tokens", "raw"]

_MOST_TOKENS = 4000
"""Of a turn, in the view of tokens."""

Line = tuple[str, Style]


class Script(msgspec.Struct, frozen=True):
    """Lines, and where each turn begins."""

    lines: list[Strip]
    starts: list[int]


def write_script(conversation: Conversation, view: View, width: int, palette: Palette) -> Script:
    """The lines of a conversation. The last start is that of what the judge said."""
    writer = _Writer(conversation, view, max(20, width - 1), palette)
    lines: list[Strip] = []
    starts: list[int] = []
    for number in range(len(conversation.turns)):
        starts.append(len(lines))
        lines += [_strip(line, width) for line in writer.turn(number)]
    starts.append(len(lines))
    lines += [_strip(line, width) for line in writer.verdict()]
    return Script(lines, starts)


def outline(turn: TurnRecord) -> str:
    """A turn in a few words."""
    names = [name for name, _ in calls_of(turn)]
    if names:
        return f"→ {', '.join(names)}"
    thoughts, words = split_thoughts(_content(turn))
    return clean_line(words.strip() or thoughts, 80)


def split_thoughts(text: str) -> tuple[str, str]:
    """What stands in a `<think>` block at the beginning, and what is said."""
    if not text.lstrip().startswith("<think>"):
        return "", text
    thoughts, _, words = text.lstrip().removeprefix("<think>").partition("</think>")
    return thoughts, words


def calls_of(turn: TurnRecord) -> list[tuple[str, str]]:
    """Names and arguments of its tool calls, whatever the model made of them."""
    calls = turn.message.get("tool_calls")
    found: list[tuple[str, str]] = []
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            found.append((str(function.get("name")), str(function.get("arguments", ""))))
    return found


def _strip(line: Line, width: int) -> Strip:
    return Strip([Segment(*line)]).crop(0, max(1, width))


class _Writer:
    def __init__(
        self, conversation: Conversation, view: View, width: int, palette: Palette
    ) -> None:
        self._conversation = conversation
        self._view = view
        self._width = width
        self._palette = palette

    def turn(self, number: int) -> Iterator[Line]:
        turn = self._conversation.turns[number]
        palette = self._palette
        source = f" · by {turn.source}" if turn.source else ""
        error = " · ERROR" if turn.is_error else ""
        head = f"── {number + 1} {turn.role}{source}{error} "
        style = palette.role(turn.role) + Style(bold=True)
        yield self._rule(head), palette.bad if turn.is_error else style
        body = {"talk": self._talk, "tokens": self._tokens, "raw": self._raw}[self._view]
        yield from body(turn)
        if self._view == "talk":
            for change in self._conversation.changes[number]:
                yield from self._text(f"  state {change}", palette.warn)
        if turn.ends:
            yield from self._text(f"■ the conversation ends here: {turn.ends}", palette.warn)
        yield "", palette.text

    def _rule(self, head: str) -> str:
        """A heading, with a line up to the edge."""
        return fit(head + "─" * max(0, self._width - cell_len(head)), self._width)

    def verdict(self) -> Iterator[Line]:
        palette, trajectory = self._palette, self._conversation.trajectory
        yield self._rule("── verdict "), palette.head
        reward = "no reward" if trajectory.reward is None else f"reward {trajectory.reward:g}"
        above = self._conversation.above_group
        more = "" if above is None else f" · {above:+.3f} against its group's mean"
        yield from self._text(
            f"{trajectory.status} · {reward}{more}", palette.reward(trajectory.reward)
        )
        for what, said in (
            ("ended", trajectory.stop_reason), ("failed at", trajectory.boundary),
            ("rejected by", trajectory.rejected_by), ("because", trajectory.reason),
        ):  # fmt: skip
            if said:
                yield from self._text(f"{what}: {said}", palette.text)
        for judgement in self._conversation.judgements:
            reward = "no reward" if judgement.reward is None else f"{judgement.reward:g}"
            said = f"scoring {judgement.scoring_id}: {reward} · {judgement.reason or ''}"
            yield from self._text(said, palette.text)
            yield from self._json(judgement.detail, palette.dim)
        if trajectory.detail and not self._conversation.judgements:
            yield from self._json(trajectory.detail, palette.dim)
        instructions = self._conversation.task.get("scenario")
        if instructions and self._view != "raw":
            yield "task", palette.head
            yield from self._json(instructions, palette.dim)
        if self._view == "raw":
            yield from self._json(msgspec.to_builtins(trajectory), palette.text)

    def _talk(self, turn: TurnRecord) -> Iterator[Line]:
        palette, style = self._palette, self._palette.role(turn.role)
        thoughts = turn.message.get("reasoning_content")
        if isinstance(thoughts, str) and thoughts:
            yield from self._text(f"(thinks) {thoughts}", palette.dim)
        content = _content(turn)
        if turn.role == "assistant":
            inline, content = split_thoughts(content)
            if inline:
                yield from self._text(f"(thinks) {inline}", palette.dim)
        parsed = _parsed(content) if turn.role in ("tool", "user_tool") else None
        if parsed is not None:
            yield from self._json(parsed, style)
        elif content:
            yield from self._text(content, style)
        for name, arguments in calls_of(turn):
            decoded = _parsed(arguments)
            line = f"→ {name}({_signature(decoded, arguments)})"
            if len(line) <= self._width or decoded is None:
                yield from self._text(line, style)
            else:
                yield from self._text(f"→ {name}", style)
                yield from self._json(decoded, style)

    def _tokens(self, turn: TurnRecord) -> Iterator[Line]:
        palette = self._palette
        if turn.prompt_ids:
            ids = " ".join(map(str, turn.prompt_ids[:_MOST_TOKENS]))
            yield f"{len(turn.prompt_ids)} ids before it, masked: not learnt from", palette.dim
            yield from self._text(ids, palette.dim)
        if not turn.token_ids:
            if not turn.prompt_ids:
                yield "no token ids are stored of this turn", palette.dim
            return
        above = self._conversation.above_group
        advantage = "" if above is None else f", reward {above:+.3f} against its group's mean"
        yield from self._text(
            f"{len(turn.token_ids)} ids sampled, learnt from{advantage}", palette.text
        )
        yield f"{'#':>5} {'id':>8}  mask   logprob       p", palette.head
        for number, token in enumerate(turn.token_ids[:_MOST_TOKENS]):
            if number >= len(turn.logprobs):
                yield f"{number:>5} {token:>8}     1", palette.text
                continue
            logprob = turn.logprobs[number]
            p = exp(min(0.0, logprob))
            line = f"{number:>5} {token:>8}     1  {logprob:>8.4f}  {p:>6.1%} {'▇' * round(p * 10)}"
            yield line, palette.text if p > 0.5 else palette.warn if p > 0.1 else palette.bad
        if len(turn.token_ids) > _MOST_TOKENS:
            yield f"… {len(turn.token_ids) - _MOST_TOKENS} more", palette.dim

    def _raw(self, turn: TurnRecord) -> Iterator[Line]:
        fields = {
            "message": turn.message, "source": turn.source, "is_error": turn.is_error,
            "ops": turn.ops, "facts": turn.facts, "ends": turn.ends,
        }  # fmt: skip
        yield from self._json(fields, self._palette.text)

    def _json(self, value: Any, style: Style) -> Iterator[Line]:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
        yield from self._text(text, style, indented=True)

    def _text(self, text: str, style: Style, *, indented: bool = False) -> Iterator[Line]:
        for line in clean(text).split("\n"):
            indent = "  " + " " * (len(line) - len(line.lstrip(" "))) if indented else ""
            indent = indent[: self._width // 2]
            body = line.strip(" ") if indented else line
            for part in wrap(body, self._width - len(indent)):
                yield indent + part, style


def _content(turn: TurnRecord) -> str:
    content = turn.message.get("content")
    if content is None:
        return ""
    return content if isinstance(content, str) else msgspec.json.encode(content).decode()


def _parsed(text: str) -> Any:
    """What JSON text holds if that is an object or a list, else None."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _signature(decoded: Any, arguments: str) -> str:
    if not isinstance(decoded, dict):
        return arguments
    return ", ".join(f"{k}={msgspec.json.encode(v).decode()}" for k, v in decoded.items())
