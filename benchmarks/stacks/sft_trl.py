"""TRL's SFTTrainer with LoRA, on tokens that are made and masked already."""

import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"  # or it would ask the network

import torch
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig
from training_job import EPOCHS, LEARNING_RATE, RANK, Job
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer


class EpochClock(TrainerCallback):
    """Tells the job when an epoch ends."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def on_epoch_end(self, *_args: object, **_kwargs: object) -> None:
        """As the trainer calls it."""
        self._job.epoch_ends()


def masked(sample: dict[str, list[int]]) -> list[int]:
    both = zip(sample["ids"], sample["loss_mask"], strict=True)
    return [token if spoken else -100 for token, spoken in both]


def main() -> None:
    job = Job()
    disable_progress_bars()
    ids = [sample["ids"] for sample in job.samples]
    data = Dataset.from_dict({"input_ids": ids, "labels": [masked(s) for s in job.samples]})
    model = AutoModelForCausalLM.from_pretrained(
        job.model, dtype=torch.float32, attn_implementation="sdpa"
    )
    lora = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with tempfile.TemporaryDirectory() as out:
        plain = {
            "max_length": None,
            "num_train_epochs": EPOCHS,
            "learning_rate": LEARNING_RATE,
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "logging_strategy": "no",
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
        }
        trainer = SFTTrainer(
            model,
            SFTConfig(out, **(plain | job.setting)),
            train_dataset=data,
            processing_class=AutoTokenizer.from_pretrained(job.model),
            peft_config=lora,
            callbacks=[EpochClock(job)],
        )
        trainer.remove_callback(PrinterCallback)
        job.run(trainer.train)


if __name__ == "__main__":
    main()
