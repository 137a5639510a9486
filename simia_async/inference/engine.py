"""A transformers engine on one thread: batches of token-id prompts in, sampled ids out.

Requests that wait for the same adapter are sampled together. Prompts are padded on the left, and
every row has a random generator of its own, so what a request gets depends on its seed and not on
what else is in the batch (up to rounding).
"""

import queue
import threading
from concurrent.futures import Future
from pathlib import Path

import msgspec
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel

from simia_async.errors import UnknownModel, UsageError
from simia_async.models import policy_name

MAX_BATCH = 64


class SampleRequest(msgspec.Struct, frozen=True):
    """What to sample: `prompt_ids`, from the base or an adapter by name."""

    prompt_ids: list[int]
    model: str
    max_tokens: int
    temperature: float
    """0 is greedy."""
    seed: int


class Sampled(msgspec.Struct, frozen=True):
    """Ids sampled, and the log-probability of each under the distribution it was drawn from.

    That is the distribution after the temperature (greedy: before it), what vLLM calls
    `processed_logprobs`.
    """

    token_ids: list[int]
    logprobs: list[float]
    finish_reason: str


class _Load(msgspec.Struct, frozen=True):
    name: str
    path: Path


class _Unload(msgspec.Struct, frozen=True):
    name: str


_Job = tuple[SampleRequest | _Load | _Unload, "Future[Sampled | None]"]


class Engine:
    """A base model and the adapters loaded beside it. All work happens on one thread."""

    def __init__(self, model_dir: Path, eos_id: int) -> None:
        self._eos_id = eos_id
        self._base: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=torch.float32
        )
        self._base.train(mode=False)
        self._peft: PeftModel | None = None
        self.adapters: list[str] = []
        self.context: int = self._base.config.max_position_embeddings
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="engine").start()

    @property
    def models(self) -> list[str]:
        """Names that can be asked for; `policy@0` is the base."""
        return [policy_name(0), *self.adapters]

    def sample(self, request: SampleRequest) -> "Future[Sampled | None]":
        """Queue a request. Raises `UnknownModel`, or `UsageError` if it does not fit."""
        if request.model not in self.models:
            raise UnknownModel(f"no model {request.model!r}; loaded: {', '.join(self.models)}")
        if not request.prompt_ids:
            raise UsageError("the prompt is empty")
        if len(request.prompt_ids) + request.max_tokens > self.context:
            raise UsageError(
                f"{len(request.prompt_ids)} prompt tokens and max_tokens {request.max_tokens} do "
                f"not fit the model's context of {self.context}"
            )
        return self._queue(request)

    def load(self, name: str, path: Path) -> "Future[Sampled | None]":
        """Queue the loading of an adapter."""
        return self._queue(_Load(name, path))

    def unload(self, name: str) -> "Future[Sampled | None]":
        """Queue the unloading of an adapter. Raises `UsageError` if it is not loaded."""
        if name not in self.adapters:
            raise UsageError(f"no adapter {name!r} is loaded")
        return self._queue(_Unload(name))

    def _queue(self, job: SampleRequest | _Load | _Unload) -> "Future[Sampled | None]":
        future: Future[Sampled | None] = Future()
        self._jobs.put((job, future))
        return future

    def _work(self) -> None:
        waiting: list[_Job] = []
        while True:
            if not waiting:
                waiting.append(self._jobs.get())
            while not self._jobs.empty():
                waiting.append(self._jobs.get())
            batch, waiting = _next_batch(waiting)
            futures = [future for _, future in batch]
            try:
                results = self._perform([job for job, _ in batch])
            except Exception as error:
                for future in futures:
                    future.set_exception(error)
            else:
                for future, result in zip(futures, results, strict=True):
                    future.set_result(result)

    def _perform(self, jobs: list[SampleRequest | _Load | _Unload]) -> list[Sampled] | list[None]:
        match jobs[0]:
            case _Load(name, path):
                self._load(name, path)
                return [None]
            case _Unload(name):
                self._unload(name)
                return [None]
        requests = [job for job in jobs if isinstance(job, SampleRequest)]
        return self._sample(requests)

    def _load(self, name: str, path: Path) -> None:
        inner = _peft_name(name)
        if self._peft is None:
            self._peft = PeftModel.from_pretrained(self._base, path, adapter_name=inner).eval()
        elif name not in self.adapters:
            self._peft.load_adapter(path, adapter_name=inner)
        if name not in self.adapters:
            self.adapters.append(name)

    def _unload(self, name: str) -> None:
        assert self._peft is not None
        self._peft.delete_adapter(_peft_name(name))
        self.adapters.remove(name)

    @torch.inference_mode()
    def _sample(self, requests: list[SampleRequest]) -> list[Sampled]:
        name = requests[0].model
        if self._peft is None:
            return self._generate(self._base, requests)
        if name == policy_name(0):
            with self._peft.disable_adapter():
                return self._generate(self._base, requests)
        self._peft.set_adapter(_peft_name(name), inference_mode=True)
        return self._generate(self._base, requests)

    def _generate(self, model: PreTrainedModel, requests: list[SampleRequest]) -> list[Sampled]:
        rows = len(requests)
        longest = max(len(request.prompt_ids) for request in requests)
        ids_bt = torch.zeros(rows, longest, dtype=torch.long)
        mask_bt = torch.zeros(rows, longest, dtype=torch.long)
        for row, request in enumerate(requests):
            ids_bt[row, longest - len(request.prompt_ids) :] = torch.tensor(request.prompt_ids)
            mask_bt[row, longest - len(request.prompt_ids) :] = 1
        positions_bt = (mask_bt.cumsum(-1) - 1).clamp(min=0)
        draw = _Draw(requests)
        ids: list[list[int]] = [[] for _ in requests]
        logprobs: list[list[float]] = [[] for _ in requests]
        reasons: list[str | None] = [None] * rows
        cache = DynamicCache(config=model.config)
        while None in reasons:
            logits_bv = model(
                input_ids=ids_bt,
                attention_mask=mask_bt,
                position_ids=positions_bt,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            next_b, logprobs_b = draw(logits_bv)
            for row, request in enumerate(requests):
                if reasons[row] is None:
                    token = int(next_b[row])
                    ids[row].append(token)
                    logprobs[row].append(float(logprobs_b[row]))
                    if token == self._eos_id:
                        reasons[row] = "stop"
                    elif len(ids[row]) >= request.max_tokens:
                        reasons[row] = "length"
            ids_bt = next_b[:, None]
            mask_bt = torch.cat([mask_bt, torch.ones(rows, 1, dtype=torch.long)], dim=1)
            positions_bt = positions_bt[:, -1:] + 1
        return [Sampled(*sampled) for sampled in zip(ids, logprobs, map(str, reasons), strict=True)]


class _Draw:
    """Draws one token a row, each row with its own temperature and random generator."""

    def __init__(self, requests: list[SampleRequest]) -> None:
        temperatures = torch.tensor([request.temperature for request in requests])
        self._greedy_b = temperatures == 0
        self._divisors_b1 = torch.where(self._greedy_b, 1.0, temperatures)[:, None]
        self._generators = [torch.Generator().manual_seed(r.seed % 2**63) for r in requests]

    def __call__(self, logits_bv: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logprobs_bv = torch.log_softmax(logits_bv.float() / self._divisors_b1, dim=-1)
        # The Gumbel trick: the argmax of log-probabilities plus Gumbel noise is a sample.
        vocabulary = logits_bv.shape[-1]
        noise_bv = torch.stack(
            [torch.empty(vocabulary).exponential_(generator=g).log() for g in self._generators]
        )
        noisy_bv = torch.where(self._greedy_b[:, None], logprobs_bv, logprobs_bv - noise_bv)
        next_b = noisy_bv.argmax(dim=-1)
        return next_b, logprobs_bv.gather(1, next_b[:, None])[:, 0]


def _next_batch(waiting: list[_Job]) -> tuple[list[_Job], list[_Job]]:
    """The first job, with the sampling requests that can share its batch; and what is left."""
    first = waiting[0][0]
    if not isinstance(first, SampleRequest):
        return waiting[:1], waiting[1:]
    batch: list[_Job] = []
    rest: list[_Job] = []
    for job in waiting:
        same = isinstance(job[0], SampleRequest) and job[0].model == first.model
        (batch if same and len(batch) < MAX_BATCH else rest).append(job)
    return batch, rest


def _peft_name(name: str) -> str:
    """Peft keeps adapters as module attributes, whose names may hold no dot."""
    return name.replace(".", "_")
