"""What something was trained on, to look for evaluation tasks in: a run, or a file of tasks."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec
from simia_store import Reader, RunRecord, TrajectoryRecord, TrajectoryStatus

from simia_async.environments import Environment, Task, load_tasks
from simia_async.errors import UsageError
from simia_async.evaluation.contamination import TrainingText, ids_in, text_of_task
from simia_async.messages import Message

_TASK_FILES = (".jsonl", ".json")


def read_training_data(place: Path, environment: Environment) -> list[TrainingText]:
    """What the run or the file of tasks at `place` trains on.

    Of a file, its tasks for training; of a run of rollouts or of RL, the tasks that were played
    (not those it was evaluated on) and what their users said; of a run that generates, the kept
    conversations; of an SFT run, the runs that it learnt from. Raises `StoreError`, or `UsageError`
    if there is nothing to learn from.
    """
    if place.suffix in _TASK_FILES:
        tasks = [task for task in load_tasks(place, environment) if task.split == "train"]
        if not tasks:
            raise UsageError(f"{place}: holds no task of the split 'train' to check against")
        return [text_of_task(task, f"{place}: task {task.id}") for task in tasks]
    with Reader(place) as reader:
        run = reader.run()
        texts = [] if run is None else list(_of_run(place, reader, run, environment))
    if not texts:
        found = "no run was begun there" if run is None else f"its run is of the kind {run.kind!r}"
        raise UsageError(f"{place}: holds nothing that could be trained on: {found}")
    return texts


def _of_run(
    path: Path, reader: Reader, run: RunRecord, environment: Environment
) -> Iterator[TrainingText]:
    if run.kind == "sft":
        data = run.config["data"]
        named = [data] if isinstance(data, str) else data
        yield from chain.from_iterable(read_training_data(Path(n), environment) for n in named)
    elif run.kind == "generate":
        for each in reader.trajectories(status=TrajectoryStatus.KEPT):
            yield _of_conversation(path, reader, each)
    elif run.kind == "tasks":
        for record in reader.tasks():
            if record.task and record.split == "train":
                task = msgspec.convert(record.task, Task)
                yield text_of_task(task, f"{path}: task {task.id}")
    elif run.kind in ("rollout", "rl"):
        # Conversations of an evaluation inside training are in no group.
        played = [each for each in reader.trajectories() if each.group_id is not None]
        wanted = {each.task_id for each in played}
        for record in reader.tasks():
            if record.id in wanted:
                task = msgspec.convert(record.task, Task)
                yield text_of_task(task, f"{path}: task {task.id}")
        for each in played:
            yield _of_conversation(path, reader, each)


def _of_conversation(path: Path, reader: Reader, each: TrajectoryRecord) -> TrainingText:
    said: list[str] = []
    called: list[str] = []
    for turn in reader.turns(each.id):
        message = msgspec.convert(turn.message, Message)
        if message.role == "user":
            said.append(message.content or "")
        called += [call.function.arguments for call in message.tool_calls or ()]
    return TrainingText(
        f"{path}: trajectory {each.id}",
        said="\n".join(said),
        ids=ids_in([*said, *called]),
        seed=str(each.detail.get("seed") or ""),
    )
