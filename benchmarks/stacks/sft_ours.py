"""Our learner with the steps that `simia train sft` would plan."""

import tempfile
from pathlib import Path

from training_job import EPOCHS, LEARNING_RATE, RANK, Job

from simia_async.config import SftConfig
from simia_async.training.adapters import attach_adapter
from simia_async.training.attention import PACKED
from simia_async.training.learner import Learner
from simia_async.training.samples import SftSample
from simia_async.training.sft import plan_steps


def main() -> None:
    job = Job()
    samples = [SftSample(n, s["ids"], s["loss_mask"]) for n, s in enumerate(job.samples)]
    config = SftConfig(epochs=EPOCHS, lora_rank=RANK, **job.setting)
    model = attach_adapter(job.model, None, RANK, attention=PACKED)
    plan = plan_steps(config, [len(sample.ids) for sample in samples])

    def train() -> None:
        seen = 0
        for number, step in enumerate(plan, 1):
            batches = [[samples[index] for index in batch] for batch in step]
            learner.learn(number, batches, LEARNING_RATE)
            seen += sum(map(len, batches))
            if seen % len(samples) == 0:
                job.epoch_ends()

    with tempfile.TemporaryDirectory() as out:
        learner = Learner(config, model, Path(out))
        job.run(train)


if __name__ == "__main__":
    main()
