"""Settings of an evaluation with τ²-bench, which the user installs."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from simia_async.config.common import TINY, Model
from simia_async.config.endpoint_fields import name_problem, url_problem
from simia_async.config.fields import Settings
from simia_async.config.limits import StoreConfig
from simia_async.config.secrets import holds_secret

_OWN = "what τ²-bench itself does"


def _arguments_problem(text: str) -> str | None:
    """They are stored with the run, by τ²-bench too, so they may hold no key."""
    try:
        arguments = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return "expected a JSON object of litellm's arguments, such as '{\"max_tokens\": 512}'"
    if "api_key" in arguments or holds_secret(text):
        return "holds a key, which would be stored (not shown); put it into an environment variable"
    return None


_Url = Annotated[
    str,
    Meta(
        description="Base URL of an endpoint, up to /v1.",
        extra={"unset": "none", "check": url_problem},
    ),
]
_KeyVariable = Annotated[
    str,
    Meta(
        description="Environment variable with that endpoint's key.",
        extra={"unset": "none", "check": name_problem},
    ),
]
_Arguments = Annotated[
    str,
    Meta(
        description="More arguments for litellm, a JSON object.",
        extra={"check": _arguments_problem},
    ),
]


class Tau2Config(Settings, frozen=True, kw_only=True):
    """The real τ²-bench against a policy's endpoint."""

    domain: Annotated[str, Meta(description="Domain of τ²-bench.", min_length=1)] = "retail"
    policy: Annotated[
        str,
        Meta(
            description="What is evaluated: a model, an adapter's directory (of --model), or with "
            "--policy-url the model's name there.",
            min_length=1,
        ),
    ] = TINY
    model: Model = TINY
    policy_url: _Url | None = None
    policy_api_key_env: _KeyVariable | None = None
    policy_args: _Arguments = '{"temperature":0.0}'
    user: (
        Annotated[
            str,
            Meta(
                description="Model that plays the user: litellm's name of it, or with --user-url "
                "its name there.",
                extra={"unset": _OWN},
            ),
        ]
        | None
    ) = None
    user_url: _Url | None = None
    user_api_key_env: _KeyVariable | None = None
    user_args: _Arguments = '{"temperature":0.0}'
    trials: Annotated[
        int,
        Meta(
            description="How often each task is run; pass^1 to pass^k are told for this k.",
            ge=1,
            extra={"flag": "-k"},
        ),
    ] = 4
    tasks: (
        Annotated[int, Meta(description="Tasks to run.", ge=1, extra={"unset": "all"})] | None
    ) = None
    task_ids: Annotated[
        tuple[str, ...],
        Meta(
            description="Ids of the tasks to run.",
            extra={"flag": "--task-id", "unset": "those of the split"},
        ),
    ] = ()
    split: (
        Annotated[
            str,
            Meta(
                description="Tasks of τ²-bench's split: base (all of them), train, test.",
                extra={"unset": _OWN},
            ),
        ]
        | None
    ) = None
    concurrency: Annotated[int, Meta(description="Conversations at once, at most.", ge=1)] = 8
    max_steps: Annotated[int, Meta(description="Steps of a conversation, at most.", ge=1)] = 200
    seed: Annotated[int, Meta(description="Seed of τ²-bench.", ge=0, lt=2**31)] = 300
    command: (
        Annotated[
            str,
            Meta(
                description="The executable `tau2` of τ²-bench.",
                extra={"flag": "--tau2", "unset": "the one on the path"},
            ),
        ]
        | None
    ) = None
    store: StoreConfig = StoreConfig()
