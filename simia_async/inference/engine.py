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
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import torch

from simia_async.errors import UsageError
from simia_async.inference.drawing import draw
from simia_async.inference.passes import last_logits
from simia_async.inference.requests import Sampled, SampleRequest
from simia_async.inference.slot_cache import SlotCache
from simia_async.inference.slots import Slots
from simia_async.inference.turns import Turn, in_widths
from simia_async.inference.versions import Versions

MAX_SLOTS = 256
PREFILL_ROWS = 16
"""Prompts that are computed between two steps at most."""


class _Load(msgspec.Struct, frozen=True):
    name: str
    path: Path


class _Unload(msgspec.Struct, frozen=True):
    name: str


class Engine:
    """A base model and the adapters loaded beside it. All work happens on one thread.

    `max_slots`: conversations that are under way or kept. Raises `UsageError` for a model whose
    kind of attention it cannot serve.
    """

    def __init__(self, model_dir: Path, eos_id: int, max_slots: int = MAX_SLOTS) -> None:
        self._eos_id = eos_id
        self._versions = Versions(model_dir)
        self.context = self._versions.context
        self._slots = Slots(max_slots, self.context, SlotCache(self._versions.layers))
        self._jobs: queue.SimpleQueue[tuple[Any, Future[Any]]] = queue.SimpleQueue()
        self._entry = threading.Lock()
        self._waiting: deque[tuple[SampleRequest, Future[Sampled]]] = deque()
        self._changes: deque[tuple[_Load | _Unload, Future[None]]] = deque()
        self._turns: list[Turn] = []
        threading.Thread(target=self._work, daemon=True, name="engine").start()

    @property
    def models(self) -> dict[str, Path]:
        """Names that can be asked for, and where each was loaded from; `policy@0` is the base."""
        return self._versions.open

    def sample(self, request: SampleRequest) -> "Future[Sampled]":
        """Queue a request; cancelling its future ends it. Raises `UnknownModel`, or `UsageError` if
        it does not fit.
        """
        if not request.prompt_ids:
            raise UsageError("the prompt is empty")
        lowest, highest = min(request.prompt_ids), max(request.prompt_ids)
        if lowest < 0 or highest >= self._versions.vocabulary:
            raise UsageError(
                f"token id {lowest if lowest < 0 else highest} is not one of the model's "
                f"{self._versions.vocabulary}"
            )
        if request.max_tokens < 1:
            raise UsageError(f"max_tokens is {request.max_tokens}; it must be at least 1")
        if len(request.prompt_ids) + request.max_tokens > self.context:
            raise UsageError(
                f"{len(request.prompt_ids)} prompt tokens and max_tokens {request.max_tokens} do "
                f"not fit the model's context length of {self.context}"
            )
        with self._entry:
            self._versions.require(request.model)
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
            self._versions.close(name)
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
        admitted = self._admit()
        self._turns += admitted
        for batch in in_widths(admitted):
            self._advance(batch)
        for model in dict.fromkeys(turn.model for turn in self._turns):
            self._advance([turn for turn in self._turns if turn.model == model])

    def _fail_all(self, error: Exception) -> None:
        """Tell all who wait what went wrong, and go on: a thread that ended would answer nobody."""
        for turn in list(self._turns):
            self._end(turn, error)
        jobs: list[tuple[Any, Future[Any]]] = [*self._waiting, *self._changes]
        for _, future in jobs:
            _fail(future, error)
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
            self._end(turn, RuntimeError("the turn was dropped"))

    def _change_adapters(self) -> None:
        """Load and unload in order, up to an adapter that still has work."""
        while self._changes:
            change, future = self._changes[0]
            if isinstance(change, _Unload) and self._has_work(change.name):
                return
            self._changes.popleft()
            is_awaited = future.set_running_or_notify_cancel()
            if not is_awaited and isinstance(change, _Load):
                continue
            try:
                self._change(change)
            except Exception as error:
                if is_awaited:
                    future.set_exception(error)
            else:
                if is_awaited:
                    future.set_result(None)

    def _has_work(self, model: str) -> bool:
        under_way = [turn.model for turn in self._turns]
        return model in under_way or any(request.model == model for request, _ in self._waiting)

    def _change(self, change: _Load | _Unload) -> None:
        if isinstance(change, _Unload):
            self._versions.unload(change.name)
            self._slots.forget(change.name)
        else:
            self._versions.load(change.name, change.path)

    def _admit(self) -> list[Turn]:
        """Give waiting requests rows. Of equal prompts one goes first, and the rest take its row's
        keys and values over in the next round.
        """
        admitted: list[Turn] = []
        prompts: set[tuple[int, ...]] = set()
        left: deque[tuple[SampleRequest, Future[Sampled]]] = deque()
        while self._waiting and len(admitted) < PREFILL_ROWS and not self._slots.are_busy:
            request, future = self._waiting.popleft()
            prompt = tuple(request.prompt_ids)
            if prompt in prompts:
                left.append((request, future))
                continue
            prompts.add(prompt)
            try:
                slot, cached = self._slots.take(request.model, request.prompt_ids)
            except Exception as error:  # such as no memory for a copy
                _fail(future, error)
                continue
            admitted.append(Turn(request, future, random.Random(request.seed), slot, cached))
        self._waiting.extendleft(reversed(left))
        return admitted

    def _advance(self, turns: list[Turn]) -> None:
        """One token more for each of some turns of one model."""
        turns = sorted(turns, key=lambda turn: turn.slot)
        new_ids = [turn.next_ids for turn in turns]
        starts = [turn.end - len(ids) for turn, ids in zip(turns, new_ids, strict=True)]
        try:
            logits_bv = last_logits(
                self._versions[turns[0].model],
                self._slots.cache,
                [turn.slot for turn in turns],
                starts,
                new_ids,
            )
            requests, randoms = [t.request for t in turns], [t.random for t in turns]
            drawn = draw(logits_bv, requests, randoms, self._eos_id)
            for turn, token in zip(turns, drawn, strict=True):
                self._slots.wrote(turn.slot, turn.end)
                self._slots.said(turn.slot, turn.end, token.token)
                if reason := turn.say(token):
                    self._end(turn, Sampled(turn.drawn, reason, turn.cached))
        except Exception as error:
            for turn in turns:
                self._end(turn, error)

    def _end(self, turn: Turn, result: Sampled | Exception) -> None:
        """Free the row and answer, once."""
        if turn not in self._turns:
            return
        self._turns.remove(turn)
        self._slots.release(turn.slot)
        turn.answer(result)


def _fail(future: Future[Any], error: Exception) -> None:
    """Tell who waits for it, if anybody still does."""
    if future.set_running_or_notify_cancel():
        future.set_exception(error)
