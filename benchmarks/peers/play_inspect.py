"""`inspect_ai`: a solver in which agent and user speak by turns, tools and a scorer that ask the
world, and `eval` over all conversations at once.
"""

import importlib.metadata
import json
from typing import Any

import inspect_ai
import openai
from conversation import JSON_MODE, Material, Wire, read_observation, read_reward, read_user
from inspect_ai.dataset import Sample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    GenerateConfig,
    Model,
    get_model,
)
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.solver._task_state import sample_state
from inspect_ai.tool import Tool, ToolDef, ToolParams
from measure import Job, Stopwatch


async def ask(prompt: list[Wire]) -> str:
    """What the world says."""
    system, user = prompt
    model = get_model(role="world")
    messages = [
        ChatMessageSystem(content=system["content"]),
        ChatMessageUser(content=user["content"]),
    ]
    return (await model.generate(messages)).completion


def tool_of(declared: Wire, material: Material) -> Tool:
    """One of the tools; a call asks the world."""

    async def call(**kwargs: Any) -> str:  # noqa: ARG001 they stand in the history
        state = sample_state()
        assert state is not None
        return read_observation(await ask(material.tool_prompt(wire_history(state))))

    parameters = ToolParams(**declared["parameters"])
    return ToolDef(call, declared["name"], declared["description"], parameters).as_tool()


@solver
def conversation(material: Material) -> Solver:
    """The user opens; the agent calls and speaks; until the user has nothing more to say."""
    tools = [tool_of(tool["function"], material) for tool in material.tools]

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.tools = tools
        state.messages = [ChatMessageSystem(content=material.policy)]
        while True:
            prompt = material.user_prompt(state.metadata["name"], wire_history(state))
            text, is_over = read_user(await ask(prompt))
            state.messages.append(ChatMessageUser(content=text))
            if is_over:
                return state
            state = await generate(state, tool_calls="loop")

    return solve


@scorer(metrics=[mean()])
def judge(material: Material) -> Scorer:
    """The reward."""

    async def score(state: TaskState, target: Target) -> Score:  # noqa: ARG001 the judge has the goal
        prompt = material.judge_prompt(state.metadata["name"], wire_history(state))
        return Score(value=read_reward(await ask(prompt)))

    return score


def wire_history(state: TaskState) -> list[Wire]:
    """The conversation, without its system message."""
    return [_wire(message) for message in state.messages[1:]]


def _wire(message: Any) -> Wire:
    wire: Wire = {"role": message.role, "content": message.text}
    if isinstance(message, ChatMessageTool):
        wire["tool_call_id"] = message.tool_call_id
    if isinstance(message, ChatMessageAssistant) and message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function, "arguments": json.dumps(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return wire


def model_at(job: Job, name: str, **extra: Any) -> Model:
    """A model of the mock, asked by as many at once as there are conversations."""
    config = GenerateConfig(max_connections=job.conversations, **extra)
    return get_model(
        f"openai-api/mock/{name}",
        config=config,
        base_url=job.url,
        api_key="none",
        strict_tools=False,
    )


def play(job: Job, names: list[str]) -> int:
    """How many have a reward."""
    task = inspect_ai.Task(
        dataset=[Sample(input="-", metadata={"name": name}) for name in names],
        solver=conversation(job.material),
        scorer=judge(job.material),
    )
    logs = inspect_ai.eval(
        task,
        model=model_at(job, "policy"),
        model_roles={"world": model_at(job, "world", extra_body={"response_format": JSON_MODE})},
        max_samples=job.conversations,
        log_dir=str(job.scratch),
        log_realtime=False,
        score_display=False,
        fail_on_error=False,
    )
    return sum(1 for sample in logs[0].samples or () if sample.scores)


def main() -> None:
    job = Job()
    play(job, job.warm_up)
    stopwatch = Stopwatch()
    stopwatch.watch_loops_to_come()
    completed = play(job, job.names)
    versions = f"{importlib.metadata.version('inspect_ai')}, openai {openai.__version__}"
    stopwatch.report(versions, completed)


main()
