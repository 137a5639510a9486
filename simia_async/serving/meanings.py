"""What each text of a submission means to a server: a word, or the name of something it has.

Every text setting of every kind of run that is served stands here. One that does not is refused, so
that a new setting which is a path cannot reach the file system by being forgotten.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum

from simia_async.config import RunKind
from simia_async.config.fields import Settings, fields_of, sections_of
from simia_async.config.settings import KINDS
from simia_async.errors import UsageError

KINDS_SERVED: tuple[RunKind, ...] = (
    "generate",
    "tasks",
    "rollout",
    "judge",
    "sft",
    "rl",
    "eval",
    "luck",
    "fidelity",
    "agreement",
)
_NOT_SERVED = {
    "tau2": "it runs a Python and a checkout of tau2-bench that lie on this machine, which no "
    "client may name; run `simia eval tau2` where they lie"
}


class Meaning(StrEnum):
    """What a text may be."""

    WORD = "word"
    """Not the name of anything that is read."""
    FILE = "file"
    """An uploaded file."""
    TASKS = "tasks"
    """An uploaded file, or `RUN/tasks.jsonl`, which a run of the server made."""
    ENVIRONMENT = "environment"
    """One of the library, or an uploaded one."""
    MODEL = "model"
    """The embedded one, or below a directory of --models."""
    ADAPTER = "adapter"
    """`RUN/vNNNNN`, which a run of the server published."""
    RUN = "run"
    """A run of the server, by its id."""
    TRAINING_DATA = "training data"
    """A run of the server, or a file of tasks."""
    ENDPOINT = "endpoint"
    """A base URL of --endpoint."""
    KEY = "key"
    """The variable with the key of an endpoint: the server's own choice."""
    COMMAND = "command"
    """One that would be run here, which no client may name."""
    CLUSTER = "cluster"
    """An address of machines, which no client may name."""


OWN: Mapping[str, Meaning] = {
    "adapter": Meaning.ADAPTER,
    "adapters": Meaning.ADAPTER,
    "audit_rubric": Meaning.FILE,
    "baseline": Meaning.RUN,
    "check_against": Meaning.TRAINING_DATA,
    "declare_tools": Meaning.WORD,
    "device": Meaning.WORD,
    "environment": Meaning.ENVIRONMENT,
    "launch": Meaning.COMMAND,
    "lora_targets": Meaning.WORD,
    "model": Meaning.MODEL,
    "personas": Meaning.WORD,
    "ray": Meaning.CLUSTER,
    "recorded": Meaning.FILE,
    "rubric": Meaning.FILE,
    "scenarios": Meaning.WORD,
    "seeds": Meaning.FILE,
    "source": Meaning.RUN,
    "tasks_file": Meaning.TASKS,
}
"""Settings of the run itself, by name."""
OF_SECTIONS: Mapping[str, Meaning] = {
    "api_key_env": Meaning.KEY,
    "api_version": Meaning.WORD,
    "base_url": Meaning.ENDPOINT,
    "model": Meaning.WORD,
    "tokenizer": Meaning.MODEL,
}
"""Settings of its sections, which are endpoints where they hold any text."""


def served_kind(kind: object) -> RunKind:
    """The kind by its name. Raises `UsageError` for one that is not served."""
    for each in KINDS_SERVED:
        if each == kind:
            return each
    if isinstance(kind, str) and kind in _NOT_SERVED:
        raise UsageError(f"kind: {kind!r} is not done by a server: {_NOT_SERVED[kind]}")
    raise UsageError(f"kind: found {kind!r}; it must be one of {', '.join(KINDS_SERVED)}")


def endpoints_of(kind: RunKind) -> tuple[str, ...]:
    """Its sections that say where a model is asked."""
    sections = sections_of(KINDS[kind]).items()
    return tuple(
        name
        for name, section in sections
        if any(field.name == "base_url" for field in fields_of(section))
    )


def undecided(settings: type[Settings]) -> Iterator[str]:
    """Text settings that stand in no table here, `section.name` those of sections."""
    yield from (name for name in _texts(settings) if name not in OWN)
    for section, its in sections_of(settings).items():
        yield from (f"{section}.{name}" for name in _texts(its) if name not in OF_SECTIONS)


def _texts(settings: type[Settings]) -> Iterator[str]:
    for field in fields_of(settings):
        if field.item_type is str and not field.choices:
            yield field.name
