"""A transformers engine on one thread: token-id prompts in, sampled ids out, batched continuously.

Every conversation lies in a row of one cache of keys and values, and stays there between its turns,
so that only what is new in a prompt is computed. Requests join between two steps; a step is one
token for every request of one model. What a request gets depends on its seed and not on what else
is under way (up to rounding).
"""

import queue
import random
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers import PreTrainedModel

from simia_async.errors import UnknownModel, UsageError
from simia_async.inference.drawing import draw
from simia_async.inference.requests import Sampled, SampleRequest
from simia_async.inference.slot_cache import SlotCache
from simia_async.inference.slots import Slots
from simia_async.inference.weights import load_base, merged
from simia_async.models import policy_name

MAX_SLOTS = 256
PREFILL_ROWS = 16
"""Prompts that are computed between two steps at most."""


class _Load(msgspec.Struct, frozen=True):
    name: str
    path: Path


class _Unload(msgspec.Struct, frozen=True):
    name: str


class _Turn(msgspec.Struct, eq=False):
    """A request under way."""

    request: SampleRequest
    future: "Future[Sampled]"
    random: random.Random
    slot: int
    cached: int
    ids: list[int] = []
    logprobs: list[float] = []

    @property
    def end(self) -> int:
        """Length of the conversation so far."""
        return len(self.request.prompt_ids) + len(self.ids)


class Engine:
    """A base model and the adapters loaded beside it. All work happens on one thread.

    `max_slots`: conversations that are under way or kept. Raises `UsageError` for a model whose
    kind of attention it cannot serve.
    """

    def __init__(self, model_dir: Path, eos_id: int, max_slots: int = MAX_SLOTS) -> None:
        self._eos_id = eos_id
        base = load_base(model_dir)
        self.context: int = base.config.max_position_embeddings
        self._weights: dict[str, PreTrainedModel] = {policy_name(0): base}
        self._paths: dict[str, Path] = {}
        self._open = {policy_name(0)}
        """Names that take requests: loaded, and not to be unloaded."""
        self._slots = Slots(max_slots, self.context, SlotCache(base.config.num_hidden_layers))
        self._jobs: queue.SimpleQueue[tuple[Any, Future[Any]]] = queue.SimpleQueue()
        self._entry = threading.Lock()
        self._waiting: deque[tuple[SampleRequest, Future[Sampled]]] = deque()
        self._changes: deque[tuple[_Load | _Unload, Future[None]]] = deque()
        self._turns: list[_Turn] = []
        threading.Thread(target=self._work, daemon=True, name="engine").start()

    @property
    def models(self) -> list[str]:
        """Names that can be asked for; `policy@0` is the base."""
        return [name for name in list(self._weights) if name in self._open]

    def sample(self, request: SampleRequest) -> "Future[Sampled]":
        """Queue a request; cancelling its future ends it. Raises `UnknownModel`, or `UsageError` if
        it does not fit.
        """
        if not request.prompt_ids:
            raise UsageError("the prompt is empty")
        if request.max_tokens < 1:
            raise UsageError(f"max_tokens is {request.max_tokens}; it must be at least 1")
        if len(request.prompt_ids) + request.max_tokens > self.context:
            raise UsageError(
                f"{len(request.prompt_ids)} prompt tokens and max_tokens {request.max_tokens} do "
                f"not fit the model's context of {self.context}"
            )
        with self._entry:
            if request.model not in self._open:
                loaded = ", ".join(self.models)
                raise UnknownModel(f"no model {request.model!r}; loaded: {loaded}")
            return self._queue(request)

    def load(self, name: str, path: Path) -> "Future[None]":
        """Queue the loading of an adapter; what is loaded already from there may be loaded again.

        The future raises `UsageError` if it does not fit, or if the name is taken.
        """
        return self._queue(_Load(name, path))

    def unload(self, name: str) -> "Future[None]":
        """Refuse new requests of an adapter, and unload it once those it has are done.

        Raises `UsageError` if it is not loaded.
        """
        with self._entry:
            if name not in self._open or name == policy_name(0):
                raise UsageError(f"no adapter {name!r} is loaded")
            self._open.remove(name)
            return self._queue(_Unload(name))

    def _queue(self, job: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self._jobs.put((job, future))
        return future

    def _work(self) -> None:
        with torch.inference_mode():
            while True:
                try:
                    self._round()
                except Exception as error:
                    self._fail_all(error)

    def _round(self) -> None:
        self._take_jobs()
        self._let_go_of_cancelled()
        self._change_adapters()
        self._begin(self._admit())
        for model in dict.fromkeys(turn.request.model for turn in self._turns):
            self._step([turn for turn in self._turns if turn.request.model == model])

    def _fail_all(self, error: Exception) -> None:
        """Tell all who wait what went wrong, and go on: a thread that ended would answer nobody."""
        for turn in list(self._turns):
            self._end(turn, error)
        jobs: list[tuple[Any, Future[Any]]] = [*self._waiting, *self._changes]
        for _, future in jobs:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
        self._waiting.clear()
        self._changes.clear()

    def _take_jobs(self) -> None:
        """Sort what has come; waits if there is nothing to do."""
        idle = not (self._turns or self._waiting or self._changes)
        while idle or not self._jobs.empty():
            job, future = self._jobs.get()
            (self._waiting if isinstance(job, SampleRequest) else self._changes).append(
                (job, future)
            )
            idle = False

    def _let_go_of_cancelled(self) -> None:
        self._waiting = deque(job for job in self._waiting if not job[1].cancelled())
        for turn in [turn for turn in self._turns if turn.future.cancelled()]:
            self._end(turn)

    def _change_adapters(self) -> None:
        """Load and unload in order, up to an adapter that still has work."""
        while self._changes:
            change, future = self._changes[0]
            if isinstance(change, _Unload) and self._has_work(change.name):
                return
            self._changes.popleft()
            if not future.set_running_or_notify_cancel() and isinstance(change, _Load):
                continue
            try:
                self._change(change)
            except Exception as error:
                future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(None)

    def _has_work(self, model: str) -> bool:
        under_way = [turn.request.model for turn in self._turns]
        return model in under_way or any(request.model == model for request, _ in self._waiting)

    def _change(self, change: _Load | _Unload) -> None:
        name = change.name
        if isinstance(change, _Unload):
            del self._weights[name], self._paths[name]
            self._slots.forget(name)
        elif name not in self._weights:
            self._weights[name] = merged(self._weights[policy_name(0)], change.path)
            self._paths[name] = change.path
            with self._entry:
                self._open.add(name)
        elif self._paths.get(name) != change.path:
            raise UsageError(f"the adapter {name!r} is loaded already, from another path")

    def _admit(self) -> list[_Turn]:
        """Give waiting requests rows. Of equal prompts one goes first, and the rest take its row's
        keys and values over in the next round.
        """
        admitted: list[_Turn] = []
        prompts: set[tuple[int, ...]] = set()
        left: deque[tuple[SampleRequest, Future[Sampled]]] = deque()
        while self._waiting and len(admitted) < PREFILL_ROWS:
            request, future = self._waiting.popleft()
            prompt = tuple(request.prompt_ids)
            place = None
            if prompt not in prompts:
                place = self._slots.take(request.model, request.prompt_ids)
            if place is None:
                left.append((request, future))
                continue
            prompts.add(prompt)
            admitted.append(_Turn(request, future, random.Random(request.seed), *place))
        self._waiting.extendleft(reversed(left))
        return admitted

    def _begin(self, turns: list[_Turn]) -> None:
        """Compute what is new in the prompts, those of about one length together."""
        turns.sort(key=lambda turn: (turn.request.model, turn.end - turn.cached))
        self._turns += turns
        while turns:
            model, width = turns[0].request.model, turns[0].end - turns[0].cached
            batch = [
                turn
                for turn in turns
                if turn.request.model == model and turn.end - turn.cached <= 2 * width + 8
            ]
            turns = turns[len(batch) :]
            batch.sort(key=lambda turn: turn.slot)
            self._advance(
                batch,
                [turn.slot for turn in batch],
                [turn.cached for turn in batch],
                [turn.request.prompt_ids[turn.cached :] for turn in batch],
            )

    def _step(self, turns: list[_Turn]) -> None:
        """One token more for each."""
        turns.sort(key=lambda turn: turn.slot)
        self._advance(
            turns,
            [turn.slot for turn in turns],
            [turn.end - 1 for turn in turns],
            [turn.ids[-1:] for turn in turns],
        )

    def _advance(
        self, turns: list[_Turn], slots: list[int], starts: list[int], new_ids: list[list[int]]
    ) -> None:
        requests = [turn.request for turn in turns]
        try:
            logits_bv = self._forward(self._weights[requests[0].model], slots, starts, new_ids)
            tokens, logprobs = draw(logits_bv, requests, [turn.random for turn in turns])
            for turn, token, logprob in zip(turns, tokens, logprobs, strict=True):
                self._slots.wrote(turn.slot, turn.end)
                self._say(turn, token, logprob)
        except Exception as error:
            for turn in turns:
                self._end(turn, error)

    def _forward(
        self,
        model: PreTrainedModel,
        slots: list[int],
        starts: list[int],
        new_ids: Sequence[list[int]],
    ) -> torch.Tensor:
        """Logits behind the last of each row's new ids. Shorter rows are padded on the right."""
        width = max(map(len, new_ids))
        ids_bt = torch.tensor([ids + [0] * (width - len(ids)) for ids in new_ids])
        last_b = torch.tensor([len(ids) - 1 for ids in new_ids])
        starts_b = torch.tensor(starts)
        kept, where_b = torch.unique(last_b, return_inverse=True)
        logits_bkv: torch.Tensor = model(
            input_ids=ids_bt,
            attention_mask=self._slots.cache.aim(torch.tensor(slots), starts_b, width),
            position_ids=starts_b[:, None] + torch.arange(width),
            past_key_values=self._slots.cache,
            use_cache=True,
            logits_to_keep=kept,
        ).logits
        return logits_bkv[torch.arange(len(slots)), where_b]

    def _say(self, turn: _Turn, token: int, logprob: float) -> None:
        request = turn.request
        self._slots.said(turn.slot, turn.end, token)
        turn.ids.append(token)
        turn.logprobs.append(logprob)
        ended = token == self._eos_id
        if request.watch is not None:
            ended = request.watch(token, logprob) or ended
        if ended or len(turn.ids) >= request.max_tokens:
            reason = "stop" if ended else "length"
            self._end(turn, Sampled(turn.ids, turn.logprobs, reason, turn.cached))

    def _end(self, turn: _Turn, result: Sampled | Exception | None = None) -> None:
        """Free the row, and answer unless nobody waits."""
        if turn not in self._turns:
            return
        self._turns.remove(turn)
        self._slots.release(turn.slot)
        if not turn.future.set_running_or_notify_cancel():
            return
        if isinstance(result, Sampled):
            turn.future.set_result(result)
        else:
            turn.future.set_exception(result or RuntimeError("the turn was dropped"))
