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
Launch = Annotated[
    str,
    Meta(
        description="Command that starts the trainer in several processes, which share the base "
        'and divide each step: "torchrun --standalone --nproc-per-node 2".',
        extra={"unset": "one process, without a launcher"},
    ),
]
Workers = Annotated[
    int,
    Meta(
        description="Processes that hold conversations beside this one, which plans and writes; 0: "
        "this one does all, or with --ray one a node. Can be changed when a run goes on.",
        ge=0,
    ),
]
Ray = Annotated[
    str,
    Meta(
        description="Ray cluster whose nodes the workers run on, by its address; auto: the one "
        "that runs here, else a new one on this machine (extra ray).",
        extra={"unset": "workers are processes on this machine"},
    ),
]
GradientCheckpointing = Annotated[
    bool,
    Meta(description="Compute activations twice instead of keeping them: slower, less memory."),
]
