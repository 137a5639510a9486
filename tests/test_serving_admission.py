"""What a client of a server may name, and what not: every setting of every kind of run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from simia_async.config.fields import Settings, fields_of, sections_of
from simia_async.config.settings import KINDS
from simia_async.environments.environment import LIBRARY
from simia_async.errors import UsageError
from simia_async.serving.admission import Allowed, Places
from simia_async.serving.job_kinds import _KINDS as DONE
from simia_async.serving.meanings import (
    KINDS_SERVED,
    OF_SECTIONS,
    OWN,
    Meaning,
    endpoints_of,
    undecided,
)
from tests.servers import ServerProcess

pytest.importorskip("prometheus_client")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "root") as server:
        yield server


EVIL = {"base_url": "http://evil.example/v1", "model": "m", "api_key_env": "PATH"}
AUDIT = {"audit_share": 0.5, "audit_rubric": "../../token"}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"kind": "shell"}, "kind: found 'shell'; it must be one of generate, tasks"),
    ({"kind": "tau2"}, "kind: 'tau2' is not done by a server: it runs a Python"),
    ({"kind": "generate", "settings": {"m": 3}}, "unknown setting 'm'"),
    ({"kind": "generate", "settings": {"n": 0}}, "n: found 0"),
    ({"kind": "generate", "settings": {"seeds": "/etc/passwd"}}, "seeds: found '/etc/passwd'"),
    ({"kind": "generate", "settings": {"seeds": "../../token"}}, "name of something uploaded"),
    ({"kind": "generate", "settings": {"seeds": "nothing.jsonl"}}, "'nothing.jsonl' is not here"),
    ({"kind": "generate", "settings": {"seeds": "\N{PILE OF POO}" * 199}}, "seeds: found"),
    ({"kind": "generate", "settings": {"environment": "/etc"}}, "environment: found '/etc'"),
    ({"kind": "sft", "settings": {"model": "/etc"}}, "model: found '/etc'"),
    ({"kind": "sft", "settings": {"model": "/tmp\0"}}, "model: found"),
    ({"kind": "sft", "data": ["../x"]}, "data: found '../x'; it must be the id of a run"),
    ({"kind": "generate", "data": ["x"]}, "data: is only for sft, judge, luck runs"),
    ({"kind": "judge"}, "data: found 0 runs; it must be 1: the run that is judged again"),
    ({"kind": "luck", "data": ["a", "b"]}, "data: found 2 runs; it must be 0 to 1"),
    ({"kind": "eval", "settings": {"adapters": ["../../../etc"]}}, "adapters: found"),
    ({"kind": "eval", "settings": {"adapters": ["x/../run.db"]}}, "adapters: found"),
    ({"kind": "eval", "settings": {"baseline": "/etc/passwd"}}, "baseline: found '/etc/passwd'"),
    ({"kind": "eval", "settings": {"baseline": "nothing"}}, "baseline: 'nothing' is not here"),
    ({"kind": "eval", "settings": {"check_against": ["../x.jsonl"]}}, "check_against: found"),
    ({"kind": "tasks", "settings": {"source": "../../x"}}, "source: found '../../x'"),
    ({"kind": "rollout", "settings": {"tasks_file": "../x/tasks.jsonl"}}, "tasks_file: found"),
    ({"kind": "fidelity", "settings": {"recorded": "/etc/passwd"}}, "recorded: found"),
    ({"kind": "rl", "settings": AUDIT}, "audit_rubric: found '../../token'"),
    ({"kind": "rl", "settings": {"audit_endpoint": EVIL}}, "audit_endpoint.base_url: found"),
    ({"kind": "rollout", "settings": {"judge_endpoint": EVIL}}, "judge_endpoint.base_url: found"),
    ({"kind": "rollout", "settings": {"policy": {"base_url": []}}}, "policy.base_url: found []"),
    ({"kind": "rollout", "settings": {"policy": {"tokenizer": "/etc"}}}, "policy.tokenizer: found"),
    (
        {"kind": "generate", "settings": {"simulator": EVIL}},
        "one of those that the server was started with --endpoint: none",
    ),
    (
        {"kind": "generate", "settings": {"simulator": {"api_key_env": "PATH"}}},
        "api_key_env: is only for a base_url that is named too",
    ),
    ({"kind": "generate", "settings": {"ray": "10.0.0.1:6379"}}, "ray: cannot be set by a client"),
    ({"kind": "rollout", "settings": {"workers": 4096}}, "workers: found 4096; on this server"),
    ({"kind": 3}, "Expected `str`, got `int`"),
    ({"kinds": "generate"}, "unknown field `kinds`"),
]


@pytest.mark.parametrize(("body", "expected"), BAD)
def test_what_may_not_be_asked_for_is_refused(
    server: ServerProcess, body: dict[str, Any], expected: str
) -> None:
    before = sorted((server.root / "runs").iterdir())
    status, problem = server.ask("POST", "/v1/runs", body)
    assert status == 422
    assert expected in problem["detail"]
    assert sorted((server.root / "runs").iterdir()) == before


@pytest.mark.parametrize("kind", KINDS_SERVED)
def test_what_every_text_setting_may_name_is_decided(kind: Any) -> None:
    """One that is missing here is refused by servers: add it to `simia_async.serving.meanings`."""
    assert list(undecided(KINDS[kind])) == []
    assert kind in DONE


def test_what_is_decided_are_settings() -> None:
    served = [KINDS[kind] for kind in KINDS_SERVED]
    assert set(OWN) <= {f.name for its in served for f in fields_of(its)}
    sections = [section for its in served for section in sections_of(its).values()]
    assert set(OF_SECTIONS) <= {f.name for section in sections for f in fields_of(section)}


def test_a_new_text_setting_is_noticed() -> None:
    class Section(Settings, frozen=True, kw_only=True):
        certificate: Annotated[str, Meta(description="A file.")] | None = None

    class New(Settings, frozen=True, kw_only=True):
        steps: Annotated[int, Meta(description="A number.")] = 1
        cache: Annotated[tuple[str, ...], Meta(description="Directories.")] = ()
        section: Section = Section()

    assert list(undecided(New)) == ["cache", "section.certificate"]


def test_every_endpoint_is_one_that_is_looked_at() -> None:
    assert set(endpoints_of("rl")) == {
        "simulator",
        "policy",
        "user_endpoint",
        "tool_endpoint",
        "judge_endpoint",
        "audit_endpoint",
    }


NAMES = st.text(st.sampled_from("abv01./\\~ \0%é"), max_size=12) | st.sampled_from(
    ["..", "a/../../..", "/etc/passwd", "run", "run/adapters", "run/v00001", "s.jsonl", "link"]
)


@given(st.sampled_from([name for name in OWN if OWN[name] is not Meaning.WORD]), NAMES)
def test_whatever_is_named_lies_where_the_server_keeps_such(
    tmp_path_factory: pytest.TempPathFactory, name: str, text: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "places"
    for place in ("runs/run/adapters/v00001", "uploads/files", "uploads/environments/shop"):
        (root / place).mkdir(parents=True, exist_ok=True)
    (root / "token").write_text("secret")
    (root / "runs/run/run.db").touch()
    (root / "uploads/files/s.jsonl").touch()
    for place in ("uploads/files/link", "uploads/environments/link", "runs/link"):
        if not (root / place).is_symlink():
            (root / place).symlink_to("/etc")
    model = root / "models"
    places = Places(root, Allowed(models=(model,)))
    kind = next(k for k in KINDS_SERVED if name in {f.name for f in fields_of(KINDS[k])})
    value: Any = [text] if name in ("adapters", "check_against") else text
    more = {"audit_share": 0.5} if name == "audit_rubric" else {}
    try:
        admitted = places.admitted(kind, {name: value, **more})
    except UsageError:
        return
    found = admitted[name][0] if isinstance(value, list) else admitted[name]
    if name in ("model", "environment") and "/" not in str(found).removeprefix("builtin/"):
        return
    homes = {
        Meaning.FILE: [root / "uploads/files"],
        Meaning.TASKS: [root / "uploads/files", root / "runs"],
        Meaning.TRAINING_DATA: [root / "uploads/files", root / "runs"],
        Meaning.ENVIRONMENT: [root / "uploads/environments", LIBRARY],
        Meaning.MODEL: [model],
        Meaning.ADAPTER: [root / "runs"],
        Meaning.RUN: [root / "runs"],
    }
    place = Path(found).resolve()
    assert any(place.is_relative_to(home.resolve()) for home in homes[OWN[name]])
    assert place != root / "token"
