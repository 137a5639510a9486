"""A simulator that is untrue in a known share of its answers."""

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simia_async.builtin.answers import answer
from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.scripted_worlds import draw_tasks
from simia_async.builtin.server.options import ServerOptions
from simia_async.builtin.server.scripted import ScriptedServer
from simia_async.errors import ConfigError
from simia_async.simulation.prompts import compose, read_sections
from simia_async.simulation.replies import Judgement, ToolReply
from simia_async.testing import Lies

TASK = draw_tasks(MINI_RETAIL, 6, split="train")[5]
ORDER = next(iter(TASK.initial_state["orders"]))


def prompt_of(name: str, **arguments: str) -> str:
    call = {"name": name, "arguments": msgspec.json.encode(arguments).decode()}
    history = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": call}]},
    ]
    environment = {"name": MINI_RETAIL.name, "role": "tool"}
    return compose({"environment": environment, "state": TASK.initial_state, "history": history})


def told(lies: Lies, prompt: str, at: float) -> ToolReply:
    said = lies.told(answer(prompt, 0), read_sections(prompt), lambda _: at)
    assert isinstance(said, ToolReply)
    return said


def test_every_value_that_was_not_named_is_another() -> None:
    prompt = prompt_of("get_order", order_id=ORDER)
    truth = told(Lies(), prompt, 0).observation
    lie = told(Lies(wrong_observations=1), prompt, 0.5).observation
    assert lie.keys() == truth.keys()
    assert [key for key in truth if lie[key] == truth[key]] == ["order_id"]
    assert {type(value) for value in lie.values()} == {type(value) for value in truth.values()}


def test_what_was_done_is_said_to_have_failed_and_the_other_way_round() -> None:
    lies = Lies(wrong_observations=1)
    done = prompt_of("cancel_order", order_id=ORDER)
    assert told(Lies(), done, 0).ops
    assert told(lies, done, 0).is_error
    assert not told(lies, done, 0).ops
    failed = prompt_of("get_order", order_id="W1")
    assert told(Lies(), failed, 0).is_error
    assert not told(lies, failed, 0).is_error


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_so_large_a_share_is_untrue(share: float, drawn: float) -> None:
    prompt = prompt_of("get_order", order_id=ORDER)
    is_untrue = told(Lies(wrong_observations=share), prompt, drawn) != told(Lies(), prompt, 0)
    assert is_untrue == (drawn < share)
    judged = Judgement(0.75, "so", {"kind": True, "right": 0.5})
    flipped = Lies(flipped_judgements=share).told(judged, {}, lambda _: drawn)
    assert isinstance(flipped, Judgement)
    assert flipped.reward == (0.25 if drawn < share else 0.75)
    assert flipped.criteria == ({"kind": 0, "right": 0.5} if drawn < share else judged.criteria)


async def test_over_http_the_share_is_kept_and_a_rerun_lies_alike() -> None:
    heard = []
    for _ in range(2):
        server = ScriptedServer(lies=Lies(wrong_observations=0.3), seed=5)
        async with server, aiohttp.ClientSession() as http:
            heard.append([await asked(http, server.base_url) for _ in range(200)])
    assert heard[0] == heard[1]
    truth = told(Lies(), prompt_of("get_order", order_id=ORDER), 0).observation
    assert 40 <= sum(msgspec.json.decode(each)["observation"] != truth for each in heard[0]) <= 80


async def asked(http: aiohttp.ClientSession, base_url: str) -> str:
    prompt = prompt_of("get_order", order_id=ORDER)
    body = {"model": "world", "messages": [{"role": "user", "content": prompt}]}
    response = await http.post(f"{base_url}/chat/completions", json=body)
    return str((await response.json())["choices"][0]["message"]["content"])


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"wrong_observations: found .*share from 0 to 1"):
        ServerOptions(wrong_observations=share).apply_to(ScriptedServer)
