"""Settings that several kinds of run have, each declared once."""

from typing import Annotated, Literal

from msgspec import Meta

TINY = "builtin/tiny"
"""Name of the tiny base policy that ships with simia-async."""

Environment = Annotated[
    str,
    Meta(
        description="Environment: a name of the library, or a directory.", extra={"flag": "--env"}
    ),
]
Model = Annotated[
    str, Meta(description="Base model of the policy: builtin/tiny, or a local model directory.")
]
Seed = Annotated[int, Meta(description="Seed of everything random.", ge=0, lt=2**31)]
TokensPerBatch = Annotated[int, Meta(description="Tokens of one batch of the trainer.", ge=1)]
MaxTurns = Annotated[
    int, Meta(description="How often the policy may speak in a conversation.", ge=1)
]
RubricFile = Annotated[
    str,
    Meta(
        description="TOML file of criteria, and how they make a reward.",
        extra={"unset": "the tasks' own"},
    ),
]
Votes = Annotated[
    int,
    Meta(
        description="How often the judge is asked of one conversation.",
        ge=1,
        extra={"unset": "as the rubric says, else once"},
    ),
]
Schedule = Annotated[
    Literal["linear", "cosine", "constant"],
    Meta(description="How the learning rate falls; all but constant end at a tenth."),
]
WarmUp = Annotated[
    float, Meta(description="Share of the steps in which the learning rate rises.", ge=0, le=1)
]
WeightDecay = Annotated[float, Meta(description="AdamW's weight decay.", ge=0)]
LoraRank = Annotated[int, Meta(description="Rank of the LoRA adapter.", ge=1)]
Packing = Annotated[
    bool, Meta(description="Lay samples side by side in a batch, instead of padding them.")
]
Device = Annotated[
    str,
    Meta(
        description="Where the model is trained: cpu, cuda, cuda:1, …; auto: on CUDA if it is "
        "there, else the CPU."
    ),
]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16"],
    Meta(
        description="Type of the base's weights (the adapter's are float32); auto: bfloat16 on "
        "CUDA, else float32."
    ),
]
GradientCheckpointing = Annotated[
    bool,
    Meta(description="Compute activations twice instead of keeping them: slower, less memory."),
]
