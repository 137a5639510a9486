"""The formats that a run's trajectories can be exported in."""

from collections import Counter
from enum import StrEnum

import msgspec


class ExportFormat(StrEnum):
    """Names as `--format` takes them."""

    OPENAI = "openai"
    """OpenAI chat messages with tool calls."""
    HERMES = "hermes"
    """Chat text as Qwen and Hermes models are trained on it."""
    SHAREGPT = "sharegpt"
    """Turns of human, gpt, function_call and observation."""
    LLAMA3 = "llama3"
    """Chat text with Llama 3.1's JSON tool calls."""
    PARQUET = "parquet"
    """OpenAI's messages as a table; needs the extra `parquet`."""

    @property
    def file_name(self) -> str:
        """Name of the data file."""
        return "train.parquet" if self is ExportFormat.PARQUET else "train.jsonl"


class Exported(msgspec.Struct):
    """What an export came to; counted while it is written."""

    format: ExportFormat
    count: int = 0
    """Trajectories written."""
    left_out: int = 0
    """Kept trajectories that the format cannot hold without changing what they mean."""
    reasons: list[str] = []
    """For the first of those, a sentence each."""
    repairs: Counter[str] = msgspec.field(default_factory=Counter)
    """Trajectories written that a rule has repaired, by rule."""
    end_with_observation: int = 0
    """Trajectories written whose last word is a tool's."""
