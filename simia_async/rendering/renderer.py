"""Conversation to token ids and back, for one model. Torch-free.

A policy under training is prompted with token ids. Its first prompt is rendered once; afterwards
only the ids of new observations are appended, and what the policy sampled is never re-tokenised.
"""

import itertools
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2.sandbox
import msgspec
from tokenizers import Tokenizer

from simia_async.errors import RenderError, UsageError
from simia_async.messages import Message, ToolSchema


class Sample(msgspec.Struct, frozen=True):
    """A conversation as the trainer sees it: `ids` and `loss_mask`, both of length T."""

    ids: list[int]
    loss_mask: list[int]


class Renderer:
    """Chat template and tokenizer of a Hugging Face model directory.

    Raises `UsageError` if the directory has no fast tokenizer or no chat template, or if one of
    them cannot be read.
    """

    def __init__(self, model_dir: Path) -> None:
        self.model_dir = model_dir
        self._tokenizer = _read_tokenizer(model_dir)
        config = _read_config(model_dir)
        self.eos = _token_text(config.get("eos_token"))
        eos_id = self._tokenizer.token_to_id(self.eos) if self.eos else None
        if eos_id is None:
            raise UsageError(f"{model_dir}/tokenizer_config.json: no usable `eos_token`")
        self.eos_id: int = eos_id
        self._template = _compile(model_dir, config)

    def render(
        self,
        messages: list[Message],
        tools: list[ToolSchema] | None = None,
        *,
        generate: bool = False,
    ) -> str:
        """Text of `messages`; with `generate`, ready for the assistant's next turn.

        Raises `RenderError` if the template fails on them.
        """
        shown = [_for_template(message) for message in messages]
        try:
            return self._template.render(
                messages=shown,
                tools=tools or None,
                add_generation_prompt=generate,
                eos_token=self.eos,
            )
        except RenderError:
            raise
        except Exception as error:  # a template is a program of the model's
            raise RenderError(
                f"{self.model_dir}: the chat template fails on the conversation: {error}"
            ) from error

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, with no special tokens added."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: list[int]) -> str:
        """Text of sampled `ids`, without the end-of-turn token."""
        if ids and ids[-1] == self.eos_id:
            ids = ids[:-1]
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False)
        return text

    def prompt_ids(self, messages: list[Message], tools: list[ToolSchema]) -> list[int]:
        """Ids of a conversation up to where the policy speaks next."""
        return self.encode(self.render(messages, tools, generate=True))

    def continuation_ids(self, history: list[Message], new: list[Message]) -> list[int]:
        """Ids to append after a sampled turn that ended with `eos`: `new`, then the next prompt.

        `history` ends with the sampled turn. Raises `RenderError` for a template that rewrites
        history, because the ids already sampled could then not be kept.
        """
        before = self.render(history)
        after = self.render([*history, *new], generate=True)
        end = before.rfind(self.eos)
        if end < 0 or not after.startswith(before):
            raise RenderError(
                f"{self.model_dir}: the chat template rewrites earlier turns when new ones are "
                "added, so sampled token ids cannot be kept; use a template that only appends"
            )
        return self.encode(after[end + len(self.eos) :])

    def sample(self, messages: list[Message], tools: list[ToolSchema]) -> Sample:
        """Ids of a whole conversation, with loss only on what the assistant says and its `eos`.

        Raises `RenderError` as `samples` does, and for a template that rewrites history.
        """
        first, *others = self.samples(messages, tools)
        if others:
            raise RenderError(
                f"{self.model_dir}: the chat template rewrites earlier turns, so the loss "
                "mask of a multi-turn conversation is not well defined"
            )
        return first

    def samples(self, messages: list[Message], tools: list[ToolSchema]) -> list[Sample]:
        """The same in as many pieces as the template needs, one at least.

        Where it rewrites earlier turns, as those of models that drop past thoughts do, a new sample
        begins with the conversation as the policy is shown it then. Each turn of the assistant has
        its loss in one of them. Raises `RenderError` where it cannot be told, or is not all there,
        what the assistant said.
        """
        pieces = [Sample([], [])]
        done = ""
        for index, message in enumerate(messages):
            if message.role != "assistant":
                continue
            prompt, spoken = self._turn(messages[: index + 1], tools)
            if not prompt.startswith(done):
                pieces.append(Sample([], []))
                done = ""
            for text, trained in ((prompt[len(done) :], 0), (spoken, 1)):
                ids = self.encode(text)
                pieces[-1].ids.extend(ids)
                pieces[-1].loss_mask.extend([trained] * len(ids))
            done = prompt + spoken
        return pieces

    def _turn(self, messages: list[Message], tools: list[ToolSchema]) -> tuple[str, str]:
        """What the policy is shown before its last turn, and what it says in it with its `eos`."""
        *history, message = messages
        prompt = self.render(history, tools, generate=True)
        full = self.render(messages, tools)
        if not full.startswith(prompt):
            raise RenderError(
                f"{self.model_dir}: the chat template rewrites earlier turns when the agent "
                "speaks, so it cannot be told what it said"
            )
        if prompt == self.render(history, tools):
            self._check_opens_turn(history, tools, prompt)
        end = full.rfind(self.eos)
        if end < len(prompt):
            raise RenderError(
                f"{self.model_dir}: the chat template does not end the agent's turn with "
                f"{self.eos!r}, so the agent could not learn to end it"
            )
        spoken = full[len(prompt) : end + len(self.eos)]
        if not _holds(spoken, message):
            raise RenderError(
                f"{self.model_dir}: the chat template leaves out a part of what the agent says or "
                f"calls in message {len(history)}, so it would learn something else"
            )
        return prompt, spoken

    def _check_opens_turn(
        self, history: list[Message], tools: list[ToolSchema], prompt: str
    ) -> None:
        """Where templates have nothing between a prompt and a reply, that must be so."""
        one, other = (
            self.render([*history, Message("assistant", said)], tools)[len(prompt) :]
            for said in "ab"
        )
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
        header = "".join(letter for letter, _ in same).strip()
        if header:
            raise RenderError(
                f"{self.model_dir}: the chat template does not heed add_generation_prompt, so the "
                f"agent would learn to say {header!r} itself"
            )


def _holds(spoken: str, message: Message) -> bool:
    """Whether a rendered turn has all of a message in it, whatever space is between."""
    rendered = _without_space(spoken)
    wanted = [message.content or "", *(call.function.name for call in message.tool_calls or ())]
    # In their order, and each at a place of its own.
    position = 0
    for text in map(_without_space, wanted):
        position = rendered.find(text, position) + len(text)
        if position < len(text):
            return False
    return True


def _without_space(text: str) -> str:
    return "".join(text.split())


def _for_template(message: Message) -> dict[str, Any]:
    """The message as chat templates expect it: arguments as an object, not as JSON text."""
    wire = message.as_wire()
    wire.setdefault("content", "")
    for call in wire.get("tool_calls", ()):
        try:
            call["function"]["arguments"] = msgspec.json.decode(call["function"]["arguments"])
        except (msgspec.DecodeError, RecursionError) as error:
            name = call["function"]["name"]
            raise RenderError(f"arguments of the call of {name!r} are not JSON: {error}") from error
    return wire


def _read(model_dir: Path, name: str) -> str:
    try:
        return (model_dir / name).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{model_dir}: not a Hugging Face model directory with a fast tokenizer "
            f"({name}: {error.strerror})"
        ) from error
    except UnicodeError as error:
        raise UsageError(f"{model_dir / name}: cannot be read: it is not UTF-8") from error


def _read_tokenizer(model_dir: Path) -> Tokenizer:
    source = _read(model_dir, "tokenizer.json")
    try:
        return Tokenizer.from_str(source)
    except Exception as error:  # the library raises nothing more specific
        raise UsageError(f"{model_dir}/tokenizer.json: cannot be read: {error}") from error


def _read_config(model_dir: Path) -> dict[str, Any]:
    source = _read(model_dir, "tokenizer_config.json")
    try:
        return msgspec.json.decode(source, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{model_dir}/tokenizer_config.json: cannot be read: {error}") from error


def _token_text(token: Any) -> str:
    """Text of a token that tokenizer_config.json gives as text or as an object."""
    return str(token["content"]) if isinstance(token, dict) else str(token or "")


def _compile(model_dir: Path, config: dict[str, Any]) -> jinja2.Template:
    """The chat template in a sandbox, with the helpers that `transformers` gives templates."""
    path = model_dir / "chat_template.jinja"
    source = _read(model_dir, path.name) if path.exists() else config.get("chat_template")
    if not isinstance(source, str):
        raise UsageError(f"{model_dir}: the model has no chat template (chat_template.jinja)")

    def tojson(value: Any, indent: int | None = None) -> str:
        text = msgspec.json.encode(value)
        return (msgspec.json.format(text, indent=indent or 0)).decode()

    def raise_exception(message: str) -> None:
        raise RenderError(f"{model_dir}: the chat template refuses the conversation: {message}")

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise UsageError(
            f"{model_dir}: the chat template is not one, in line {error.lineno}: {error.message}"
        ) from error
