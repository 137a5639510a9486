"""The command line of τ²-bench: which one it is, and what it is told.

Its package is called `tau2`, and so is another one on PyPI that has nothing to do with it. So
nothing of that name is imported: a command is τ²-bench if its `run` says so in its help.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import msgspec

from simia_async.config import Tau2Config
from simia_async.errors import ConfigError, UsageError

_INSTALL = (
    "install τ²-bench from its repository (git clone "
    "https://github.com/sierra-research/tau2-bench, then pip install -e tau2-bench in an "
    "environment of its own), not the package of that name on PyPI, and name its executable with "
    "--tau2"
)
_PARTS = ("cli.py", "registry.py", "data_model/simulation.py")
"""Files of its package by which it is told from another one of its name."""
_MARK = "--agent-llm-args"
_HELP_TIMEOUT_S = 300.0

POLICY_PROVIDER, _POLICY_KEY = "hosted_vllm", "HOSTED_VLLM_API_KEY"
USER_PROVIDER, _USER_KEY = "litellm_proxy", "LITELLM_PROXY_API_KEY"
"""litellm's providers of OpenAI-compatible endpoints, each with a key of its own, so that neither
takes the place of `OPENAI_API_KEY`: τ²-bench's own judge asks OpenAI."""


class Tau2Command(msgspec.Struct, frozen=True):
    """An executable that is τ²-bench."""

    words: list[str]
    resumes: bool
    """Whether it goes on with a result file without asking (from version 1 on)."""
    has_splits: bool


async def find_tau2(command: str | None) -> Tau2Command:
    """The command, else the one on the path, else the one that this Python can import.

    Takes seconds: it is started. Raises `UsageError` if it is missing, or another one.
    """
    words = _words(command)
    try:
        with anyio.fail_after(_HELP_TIMEOUT_S):
            asked = await anyio.run_process(
                [*words, "run", "--help"], stdin=subprocess.DEVNULL, check=False
            )
    except (OSError, TimeoutError) as error:
        why = str(error) or f"no help within {_HELP_TIMEOUT_S:g} s"
        raise UsageError(f"{words[0]}: cannot be run: {why}; {_INSTALL}") from error
    said = (asked.stdout + asked.stderr).decode(errors="replace")
    if _MARK not in said:
        raise UsageError(
            f"{' '.join(words)}: is not τ²-bench (`run --help` does not know {_MARK}); {_INSTALL}"
        )
    return Tau2Command(words, "--auto-resume" in said, "--task-split-name" in said)


def _words(command: str | None) -> list[str]:
    found = shutil.which(command or "tau2")
    if found:
        return [found]
    if command:
        raise UsageError(f"--tau2 {command}: there is no such executable; {_INSTALL}")
    spec = importlib.util.find_spec("tau2")
    places = list(spec.submodule_search_locations or ()) if spec else []
    if any(all((Path(place) / part).is_file() for part in _PARTS) for place in places):
        return [sys.executable, "-m", "tau2.cli"]
    if places:
        raise UsageError(f"{places[0]}: is another package called tau2; {_INSTALL}")
    raise UsageError(f"tau2: there is no such executable on the path; {_INSTALL}")


def run_words(
    command: Tau2Command, config: Tau2Config, policy_url: str, policy_model: str, save_to: Path
) -> list[str]:
    """The whole command line of a run that saves its results at `save_to`, an absolute path."""
    policy_args = {**_arguments(config.policy_args), "api_base": policy_url}
    words = [*command.words, "run", "--domain", config.domain]
    words += ["--agent-llm", f"{POLICY_PROVIDER}/{policy_model}"]
    words += ["--agent-llm-args", _json(policy_args)]
    words += _user_words(config)
    words += ["--num-trials", str(config.trials), "--max-concurrency", str(config.concurrency)]
    words += ["--max-steps", str(config.max_steps), "--seed", str(config.seed)]
    words += ["--save-to", str(save_to)]
    if config.tasks is not None:
        words += ["--num-tasks", str(config.tasks)]
    if config.split is not None:
        words += ["--task-split-name", config.split]
    if command.resumes:
        words.append("--auto-resume")
    if config.task_ids:
        words += ["--task-ids", *config.task_ids]
    return words


def _user_words(config: Tau2Config) -> list[str]:
    arguments = _arguments(config.user_args)
    model = config.user
    if config.user_url is not None:
        arguments["api_base"] = config.user_url
        model = f"{USER_PROVIDER}/{model}"
    named = ["--user-llm", model] if model is not None else []
    return [*named, "--user-llm-args", _json(arguments)]


def run_environment(config: Tau2Config, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variables of the run: keys go this way, since τ²-bench stores what stands in
    its arguments. Raises `ConfigError` for a variable that holds no key.
    """
    keys = {_POLICY_KEY: config.policy_api_key_env, _USER_KEY: config.user_api_key_env}
    flags = {_POLICY_KEY: "--policy-api-key-env", _USER_KEY: "--user-api-key-env"}
    environment = {**environ, "PYTHONUNBUFFERED": "1"}
    for name, variable in keys.items():
        if variable is None:
            environment[name] = "none"  # litellm wants some key, and ours are not for others.
        elif not environ.get(variable):
            raise ConfigError(f"{flags[name]}: the environment variable {variable} holds no key")
        else:
            environment[name] = environ[variable]
    return environment


def _arguments(text: str) -> dict[str, Any]:
    arguments: dict[str, Any] = msgspec.json.decode(text)
    return arguments


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
