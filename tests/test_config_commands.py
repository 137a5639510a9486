"""`simia config`, settings of the commands, and that no secret is ever shown."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from simia_async.cli.main import app
from simia_async.config import GenerateConfig, configure
from simia_async.config.document import template

runner = CliRunner()
CANARY = "sk-canary-4f1d9b"


def simia(*arguments: str, **environment: str) -> Result:
    return runner.invoke(app, list(arguments), env=environment)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def errors_of(*arguments: str, **environment: str) -> list[str]:
    result = simia(*arguments, **environment)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr.splitlines()


def test_show_names_the_source_of_what_is_not_the_default() -> None:
    Path("my.toml").write_text("[rl]\n\nsteps = 9\nseed = 1\n[simulator]\nmax_in_flight = 5\n")
    flags = ["--kind", "rl", "--config", "my.toml", "--lr", "1e-4", "--durable"]
    shown = simia("config", "show", *flags, SIMIA_RL_SEED="4", SIMIA_STORE_DURABLE="0").stdout
    for line in (
        "steps = 9  # my.toml:3",
        "seed = 4  # SIMIA_RL_SEED",
        "learning_rate = 0.0001  # --lr",
        "durable = true  # --durable",
        "max_in_flight = 5  # my.toml:6",
        "groups = 8",
        "# adapter: not set (the base)",
    ):
        assert line in shown.splitlines()
    as_json = json.loads(simia("config", "show", *flags, "--json").stdout)["rl"]
    assert as_json["learning_rate"] == {"value": 1e-4, "source": "--lr"}
    assert as_json["groups"] == {"value": 8, "source": "default"}
    assert as_json["simulator"]["max_in_flight"] == {"value": 5, "source": "my.toml:6"}


def test_show_all_kinds() -> None:
    shown = simia("config", "show", SIMIA_RL_SIMULATOR_MAX_IN_FLIGHT="2").stdout
    assert "[rl.simulator]\nmax_in_flight = 2  # SIMIA_RL_SIMULATOR_MAX_IN_FLIGHT\n" in shown
    assert "[sft]" in shown
    assert set(json.loads(simia("config", "show", "--json").stdout)) == {
        "generate",
        "tasks",
        "rollout",
        "judge",
        "luck",
        "fidelity",
        "agreement",
        "sft",
        "tau2",
        "rl",
        "eval",
    }


def test_show_refuses_flags_that_are_of_no_kind() -> None:
    assert "--lr: name the kind" in errors_of("config", "show", "--lr", "3")[0]
    assert simia("config", "show", "--kind", "rl", "--tasks", "3").exit_code == 2


def test_check_lists_every_problem() -> None:
    Path("simia.toml").write_text(
        "[generate]\nn = 0\nm = 3\n[rl.simulator]\nmodel = 'm'\n[nowhere]\nx = 1\n"
    )
    lines = errors_of("config", "check", SIMIA_EVAL_TASKS="x")
    assert [line.removeprefix("error: ").split(";")[0] for line in lines] == [
        "simia.toml: [generate] n: found 0",
        "simia.toml: [generate] m: no such setting",
        "simia.toml: [nowhere]: no such section",
        "SIMIA_EVAL_TASKS: found 'x'",
        "simia.toml: [rl.simulator] model: also needs --base-url (`base_url`, or "
        "OPENAI_BASE_URL): where that model is",
    ]
    [line] = errors_of("generate", SIMIA_EVAL_TASKS="x")
    assert line.endswith("(and 3 more; for all of them: simia config check)")


def test_check_tells_whether_keys_are_set_and_never_what_they_are() -> None:
    Path("one.toml").write_text(
        "[simulator]\nbase_url = 'http://x/v1'\nmodel = 'm'\napi_key_env = 'MY_KEY'\n"
        "[eval.simulator]\napi_key_env = ''\n[rl.simulator]\nprovider = 'azure'\n"
        "credential = 'entra'\n"
    )
    result = simia("config", "check", "one.toml", MY_KEY=CANARY)
    assert result.exit_code == 0
    assert "MY_KEY: set\n" in result.stdout
    assert "none is sent: api_key_env is empty" in result.stdout
    assert "none needed: Microsoft Entra" in result.stdout
    assert CANARY not in result.output
    assert "MY_KEY: not set\n" in simia("config", "check", "one.toml").stdout
    assert "not set (not needed" in simia("config", "check").stdout


def test_init_writes_what_changes_nothing_and_never_over_a_file() -> None:
    assert simia("config", "init").exit_code == 0
    assert Path("simia.toml").read_text() == template()
    assert configure(GenerateConfig) == GenerateConfig()
    Path("simia.toml").write_text("mine")
    assert "exists already; pass --force" in errors_of("config", "init")[0]
    assert Path("simia.toml").read_text() == "mine"
    assert simia("config", "init", "--force").exit_code == 0
    assert Path("simia.toml").read_text() == template()
    assert "cannot be written" in errors_of("config", "init", "/no/such/simia.toml")[0]
    assert [path.name for path in Path().iterdir()] == ["simia.toml"]


def test_settings_reach_a_run_and_a_flag_is_stronger() -> None:
    Path("simia.toml").write_text("[generate]\nn = 3\nkeep_failed = true\n")
    result = simia("generate", "--run", "g.db", "--no-keep-failed", "--json", SIMIA_GENERATE_N="2")
    assert json.loads(result.stdout)["kept"] == 2
    # More budget, and another way of writing, do not make it another run.
    result = simia(
        "generate",
        "--run",
        "g.db",
        "-n",
        "4",
        "--no-keep-failed",
        "--durable",
        "--max-cost-usd",
        "5",
        "--json",
    )
    assert json.loads(result.stdout)["kept"] == 4


PLACES = {
    "key": "[simulator]\napi_key = '{}'",
    "name of a variable": "[simulator]\napi_key_env = '{}'",
    "of one kind": "[rl.simulator]\napi_key_env = '{}'",
    "user": "[simulator]\nmodel = 'm'\nbase_url = 'https://{}@host/v1'",
    "password": "[simulator]\nmodel = 'm'\nbase_url = 'https://me:{}@host/v1'",
    "password of what is no URL": "[simulator]\nmodel = 'm'\nbase_url = 'me:{}@host'",
    "query": "[simulator]\nmodel = 'm'\nbase_url = 'https://host/v1?api-key={}'",
    "token": "[simulator]\nmodel = 'm'\nbase_url = 'https://host/v1?a=b&access_token={}'",
    "signature": "[simulator]\nmodel = 'm'\nbase_url = 'https://host/v1?sv=1&sig={}'",
    "path": "[simulator]\nmodel = 'm'\nbase_url = 'https://host/{}/v1'",
    "fragment": "[simulator]\nmodel = 'm'\nbase_url = 'https://host/v1#{}'",
    "model": "[simulator]\nmodel = '{}'\nbase_url = 'https://host/v1'",
    "seeds": "[generate]\nseeds = '{}'",
    "list": "[generate]\ndeclare_tools = ['{}']",
    "wrong type": "[generate]\nn = '{}'",
    "wrong type of a list": "[generate]\ndeclare_tools = '{}'",
    "choice": "[simulator]\nprovider = '{}'",
    "name of a key": "[simulator]\n{} = 'x'",
    "name of a section": "[{}]\nx = 1",
    "section twice": "[{0}]\n[{0}]",
    "inline": "x = {{{0} = 1, {0} = 2}}",
    "no quotes": "[simulator]\napi_key_env = {}",
    "half a quote": "[simulator]\napi_key_env = '{}",
    "half a table": "[simulator\napi_key_env = '{}'",
}


@pytest.mark.parametrize("toml", PLACES.values(), ids=PLACES.keys())
def test_a_secret_in_a_file_is_refused_and_shown_nowhere(toml: str, place: Path) -> None:
    written = toml.format(CANARY)
    Path("simia.toml").write_text(written)
    for command in (["config", "show"], ["config", "check"], ["generate", "--run", "g.db"]):
        lines = errors_of(*command)
        assert CANARY not in "".join(lines)
    assert [path.name for path in place.iterdir()] == ["simia.toml"]


@pytest.mark.parametrize(
    "variable",
    [
        "SIMIA_SIMULATOR_API_KEY",
        "SIMIA_SIMULATOR_API_KEY_ENV",
        "SIMIA_GENERATE_SIMULATOR_API_KEY_ENV",
        "SIMIA_SIMULATOR_BASE_URL",
        "SIMIA_SIMULATOR_PROVIDER",
        "SIMIA_SIMULATOR_MAX_IN_FLIGHT",
        "SIMIA_GENERATE_ENVIRONMENT",
        "SIMIA_GENERATE_DECLARE_TOOLS",
        "SIMIA_NONSENSE",
    ],
)
def test_a_secret_in_a_variable_is_refused_and_shown_nowhere(variable: str, place: Path) -> None:
    for command in (["config", "show"], ["config", "check"], ["generate"]):
        assert CANARY not in "".join(errors_of(*command, **{variable: CANARY}))
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    "flag", ["--api-key-env", "--base-url", "--simulator-model", "-n", "--declare-tool", "--seeds"]
)
def test_a_secret_in_a_flag_is_refused_and_shown_nowhere(flag: str, place: Path) -> None:
    for command in (["config", "show", "--kind", "generate"], ["generate"]):
        assert CANARY not in "".join(errors_of(*command, flag, CANARY))
    assert list(place.iterdir()) == []


KEYS = st.one_of(
    st.from_regex(r"sk-(proj-)?[A-Za-z0-9]{20,40}", fullmatch=True),
    st.from_regex(r"hf_[A-Za-z0-9]{30}", fullmatch=True),
    st.from_regex(r"ghp_[A-Za-z0-9]{30}", fullmatch=True),
    st.from_regex(r"AKIA[0-9A-Z]{16}", fullmatch=True),
    st.from_regex(r"eyJ[A-Za-z0-9]{20}\.[A-Za-z0-9]{20}\.[A-Za-z0-9]{20}", fullmatch=True),
    # Azure's, which has no mark of its own.
    st.from_regex(r"[a-f]{4}[0-9]{4}[a-f0-9]{24}", fullmatch=True),
)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(key=KEYS)
def test_keys_of_all_kinds_are_told_from_names_of_variables(key: str) -> None:
    Path("simia.toml").write_text(f"[simulator]\napi_key_env = '{key}'\n")
    [line] = errors_of("config", "show")
    assert "not the name of an environment variable" in line
    assert key not in line


@given(st.from_regex(r"[A-Z][A-Z0-9]{0,10}(_[A-Z0-9]{1,12}){0,3}", fullmatch=True))
def test_names_of_variables_are_taken(name: str) -> None:
    Path("simia.toml").write_text(f"[simulator]\napi_key_env = '{name}'\n")
    assert configure(GenerateConfig).simulator.api_key_env == name


def test_control_characters_of_a_file_reach_no_terminal() -> None:
    Path("simia.toml").write_text('[generate]\n"\\u001b[31mred" = 1\n')
    assert "\x1b" not in "".join(errors_of("generate"))
    Path("simia.toml").write_text('[generate]\nseeds = "\\u001b[31mred"\n')
    shown = simia("config", "show").stdout
    assert "\x1b" not in shown
    assert 'seeds = "\\U0000001b[31mred"  # simia.toml:2' in shown
