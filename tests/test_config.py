"""Settings: one declaration, four sources, and no secret shown."""

import importlib.util
import os
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simia_async
from simia_async.config import (
    Budget,
    Endpoint,
    EvalConfig,
    GenerateConfig,
    GrpoConfig,
    SftConfig,
    StoreConfig,
    configure,
    keywords_layer,
)
from simia_async.config.document import effective, template, to_toml, toml_value
from simia_async.config.fields import Field, Settings, fields_of, sections_of
from simia_async.config.resolve import resolve
from simia_async.config.settings import KINDS, RunKind
from simia_async.config.sources import (
    DEFAULT_FILE,
    Sources,
    find_sources,
    known_settings,
    variables,
)
from simia_async.config.toml_file import Key, read_toml
from simia_async.errors import ConfigError

ENDPOINT = {"simulator": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, path: str = DEFAULT_FILE) -> None:
    Path(path).write_text(text)


def effective_with(kind: type[Settings], **keywords: Any) -> Any:
    return configure(kind, keywords_layer(kind, keywords))


# What is declared


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_setting_is_described_and_its_default_is_right(kind: type[Settings]) -> None:
    for settings_struct in (kind, *sections_of(kind).values()):
        declared = {*sections_of(settings_struct), *(f.name for f in fields_of(settings_struct))}
        assert declared == set(settings_struct.__struct_fields__)
        for field in fields_of(settings_struct):
            assert field.description.endswith("."), field.name
            assert field.problem(field.default) is None


@pytest.mark.parametrize("kind", KINDS.values())
def test_no_two_settings_of_a_command_share_a_flag(kind: type[Settings]) -> None:
    flags = [field.flag for field in fields_of(kind)]
    flags += [f.flag for section in sections_of(kind).values() for f in fields_of(section)]
    assert len(flags) == len(set(flags))


def test_every_variable_sets_one_thing() -> None:
    assert len(variables()) == len(known_settings())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GenerateConfig(n=0), "n: found 0; it must be at least 1"),
        (lambda: GenerateConfig(seed=2**31), "seed: found 2147483648; it must be at least 0 and"),
        (lambda: GenerateConfig(n="5"), "n: found '5'; it must be a whole number"),
        (lambda: GenerateConfig(n=2**63), "it must be below 2**63"),
        (lambda: GenerateConfig(n=10**5000), "too many digits"),
        (lambda: GenerateConfig(seeds="\udcff"), "not UTF-8"),
        (lambda: GenerateConfig(seeds="a\0b"), "NUL"),
        (lambda: GrpoConfig(group_size=1), "group_size: found 1; it must be at least 2"),
        (lambda: EvalConfig(temperatures=(0.0, float("nan"))), "temperatures: found nan"),
        (lambda: Budget(max_cost_usd=0), "max_cost_usd: found 0; it must be a finite number above"),
        (lambda: StoreConfig(durable="yes"), "durable: found 'yes'; it must be true or false"),
        (lambda: Endpoint(provider="other"), "it must be 'openai', 'azure', 'vllm' or 'ollama'"),
        (lambda: Endpoint(base_url="http://["), "expected http://"),
        (lambda: Endpoint(base_url="http://x"), "base_url: also needs --simulator-model"),
        (lambda: Endpoint(base_url="http://x/v1\r\nX-Evil: 1", model="m"), "expected http://"),
        (lambda: Endpoint(credential="entra"), "credential: also needs --simulator-provider azure"),
        (lambda: Endpoint(api_version="v"), "api_version: also needs --simulator-provider azure"),
        (lambda: Endpoint(model="m"), "model: also needs --base-url"),
    ],
)
def test_bounds_hold_for_structs_too(make: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        make()


def test_settings_pass_a_frame_unchanged() -> None:
    config = GrpoConfig(budget=Budget(max_cost_usd=1), simulator=Endpoint(**ENDPOINT["simulator"]))
    assert msgspec.json.decode(msgspec.json.encode(config), type=GrpoConfig) == config


# Which source wins


def values_of(field: Field) -> st.SearchStrategy[Any]:
    """Valid values of a setting."""
    if field.choices:
        return st.sampled_from(field.choices)
    if field.type is bool:
        return st.booleans()
    if field.type is int:
        return st.integers(2, 10_000)
    if field.type is float:
        share = 1 in (field.meta.le, field.meta.lt)
        return st.floats(0.001, 0.999 if share else 1000)
    if field.item_type is float:
        return st.lists(st.floats(0, 2), min_size=1).map(tuple)
    names = st.text("abcXYZ_", min_size=1, max_size=12)
    if field.name.endswith("_args"):
        return names.map(lambda name: as_text((name,)).replace("[", '{"a":').replace("]", "}"))
    if field.name.endswith("_url"):
        return names.map(lambda name: f"http://{name.replace('_', '-').strip('-')}x/v1")
    return st.lists(names).map(tuple) if field.is_list else names


def as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return msgspec.json.encode(value).decode()
    return str(value)


ENDPOINTS = ("simulator", "policy", "user_endpoint", "tool_endpoint", "judge_endpoint")


def some(keys: list[Key]) -> st.SearchStrategy[dict[Key, Any]]:
    """Values of a random subset of settings."""
    known = known_settings()
    chosen = st.lists(st.sampled_from(keys), unique=True, max_size=8)
    return chosen.flatmap(
        lambda picked: st.fixed_dictionaries({key: values_of(known[key]) for key in picked})
    )


def merged(values: dict[Key, Any]) -> str:
    """TOML of the values, a table each section."""
    tables: dict[Key, str] = {}
    for key, value in values.items():
        line = f"{key[-1]} = {toml_value(value)}\n"
        tables[key[:-1]] = tables.get(key[:-1], "") + line
    return "".join(f"[{'.'.join(key)}]\n{lines}" for key, lines in tables.items())


@pytest.mark.parametrize("kind", list(KINDS))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_the_strongest_source_wins(kind: RunKind, data: st.DataObject) -> None:
    struct = KINDS[kind]
    sections = sections_of(struct)
    # A model and where it is go together, some are Azure's, and some need another. Of the rest any
    # subset is valid.
    tied = ("base_url", "model", "credential", "api_version", "tokenizer")
    keys = [k for k in known_settings() if k[-1] not in tied or k[-2] not in ENDPOINTS]
    keys = [k for k in keys if k[-1] not in ("patience", "overlong_buffer")]
    keys = [k for k in keys if not any(part.startswith("audit_") for part in k)]
    own = [k for k in keys if k[0] == kind]
    in_file, in_environment = data.draw(some(keys)), data.draw(some(keys))
    stated = data.draw(some(own))
    Path("s.toml").write_text(merged(in_file))
    environ = {"SIMIA_" + "_".join(k).upper(): as_text(v) for k, v in in_environment.items()}
    keywords: dict[str, Any] = {}
    for key, value in stated.items():
        at = keywords if len(key) == 2 else keywords.setdefault(key[1], {})
        at[key[-1]] = value
    sources = find_sources(Path("s.toml"), environ, keywords_layer(struct, keywords))
    assert sources.problems == ()
    resolved = resolve(struct, sources, environ)

    def expected(field: Field, *keys: Key) -> Any:
        for level in (stated, in_environment, in_file):
            for key in keys:
                if key in level:
                    return level[key]
        return field.default

    for field in fields_of(struct):
        assert getattr(resolved.config, field.name) == expected(field, (kind, field.name))
    for name, section in sections.items():
        for field in fields_of(section):
            found = getattr(getattr(resolved.config, name), field.name)
            wanted = expected(field, (kind, name, field.name), (name, field.name))
            assert found == wanted
    # What `config show` prints, read back as a file, gives the same settings.
    Path("shown.toml").write_text(to_toml(effective({kind: resolved}, sources, environ)))
    assert resolve(struct, find_sources(Path("shown.toml"), {}, {}), {}).config == resolved.config


def test_all_kinds_shown_together_read_back_the_same() -> None:
    write(
        '[simulator]\nmodel = "m"\nmax_in_flight = 3\nrequests_per_minute = 5\n'
        '[rl.simulator]\nmax_in_flight = 4\nrequests_per_minute = ""\n[budget]\nmax_tokens = 9\n'
    )
    environ = {"OPENAI_BASE_URL": "http://x/v1", "SIMIA_EVAL_BUDGET_MAX_COST_USD": "2.5"}

    def all_kinds(sources: Sources, environ: dict[str, str]) -> dict[RunKind, Any]:
        return {kind: resolve(struct, sources, environ) for kind, struct in KINDS.items()}

    sources = find_sources(None, environ, {})
    resolved = all_kinds(sources, environ)
    shown = to_toml(effective(resolved, sources, environ))
    assert "[rl.simulator]" in shown
    assert "max_in_flight = 4  # simia.toml:6" in shown
    assert 'base_url = "http://x/v1"  # OPENAI_BASE_URL' in shown
    write(shown, "shown.toml")
    again = all_kinds(find_sources(Path("shown.toml"), {}, {}), {})
    assert {k: r.config for k, r in again.items()} == {k: r.config for k, r in resolved.items()}
    assert resolved["rl"].config.simulator.requests_per_minute is None
    assert resolved["eval"].config.budget == Budget(max_cost_usd=2.5, max_tokens=9)


def test_openai_base_url_alone_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://other/v1")
    assert configure(GenerateConfig) == GenerateConfig()
    monkeypatch.setenv("SIMIA_SIMULATOR_MODEL", "m")
    assert configure(GenerateConfig).simulator.base_url == "http://other/v1"
    write('[simulator]\nbase_url = "http://mine/v1"\n')
    assert configure(GenerateConfig).simulator.base_url == "http://mine/v1"


def test_the_file_is_the_one_named_or_the_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    write("[generate]\nn = 1\n")
    write("[generate]\nn = 2\n", "two.toml")
    write("[generate]\nn = 3\n", "three.toml")
    assert configure(GenerateConfig).n == 1
    monkeypatch.setenv("SIMIA_CONFIG", "two.toml")
    assert configure(GenerateConfig).n == 2
    assert configure(GenerateConfig, None, Path("three.toml")).n == 3


async def test_file_and_environment_apply_to_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    write("[generate]\nn = 3\nseed = 5\n")
    monkeypatch.setenv("SIMIA_GENERATE_SEED", "7")
    assert (await simia_async.generate(run="a.db")).kept == 3
    assert (await simia_async.generate(run="b.db", n=2)).kept == 2
    monkeypatch.setenv("SIMIA_GENERATE_N", "0")
    with pytest.raises(ConfigError, match="SIMIA_GENERATE_N: found 0; it must be at least 1"):
        await simia_async.generate(run="c.db")


def test_a_section_as_keyword_is_a_whole_or_a_mapping_of_some() -> None:
    write("[simulator]\nmax_in_flight = 3\ntimeout_s = 9\n")
    part = effective_with(GenerateConfig, simulator={"max_in_flight": 8}, seeds=Path("s.jsonl"))
    assert (part.simulator.max_in_flight, part.simulator.timeout_s) == (8, 9)
    assert part.seeds == "s.jsonl"
    whole = effective_with(GenerateConfig, simulator=Endpoint(max_in_flight=8))
    assert whole.simulator == Endpoint(max_in_flight=8)


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"m": 1}, "unknown setting 'm'"),
        ({"simulater": {}}, "unknown setting 'simulater'; did you mean 'simulator'?"),
        ({"simulator": {"rpm": 1}}, "unknown setting 'simulator.rpm'"),
        ({"simulator": 5}, "simulator: it must be a Endpoint, or a mapping of its fields"),
        ({"simulator": {"model": "m"}}, "simulator.model: also needs --base-url"),
        ({"n": "5"}, "n: found '5'; it must be a whole number"),
        ({"budget": {"max_tokens": 0}}, "budget.max_tokens: found 0; it must be at least 1"),
    ],
)
def test_wrong_keywords(keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        effective_with(GenerateConfig, **keywords)


# Text


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("SIMIA_GENERATE_KEEP_FAILED", "True", True),
        ("SIMIA_GENERATE_KEEP_FAILED", "0", False),
        ("SIMIA_GENERATE_DECLARE_TOOLS", "a, b,", ("a", "b")),
        ("SIMIA_GENERATE_DECLARE_TOOLS", '["a,b"]', ("a,b",)),
        ("SIMIA_GENERATE_DECLARE_TOOLS", "", ()),
        ("SIMIA_GENERATE_SEEDS", "", None),
        ("SIMIA_GENERATE_N", " 5 ", 5),
    ],
)
def test_variables_are_read_by_type(
    variable: str, text: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    field = variable.removeprefix("SIMIA_GENERATE_").lower()
    assert getattr(configure(GenerateConfig), field) == value


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("SIMIA_GENERATE_N", "", "found ''; it must be a whole number"),
        ("SIMIA_GENERATE_N", "5.5", "found '5.5'; it must be a whole number"),
        ("SIMIA_SFT_LEARNING_RATE", "inf", "found inf; it must be a finite number above 0"),
        ("SIMIA_GENERATE_KEEP_FAILED", "perhaps", "it must be true or false"),
        ("SIMIA_GENERATE_DECLARE_TOOLS", "[1]", "it must be a list of texts"),
        ("SIMIA_SIMULATOR_PROVIDER", "x", "it must be 'openai', 'azure', 'vllm' or 'ollama'"),
        ("SIMIA_SIMULATR_MODEL", "m", "no such setting; did you mean SIMIA_SIMULATOR_MODEL?"),
        ("SIMIA_NN", "5", "no such setting; did you mean SIMIA_"),
        ("SIMIA_CONFIG", "/no/such.toml", "/no/such.toml: cannot be read"),
    ],
)
def test_wrong_variables(
    variable: str, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        configure(SftConfig)
    assert variable == "SIMIA_CONFIG" or str(caught.value).startswith(variable)


def test_the_token_of_a_server_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMIA_SERVER_TOKEN", "secret")
    assert configure(SftConfig) == SftConfig()


def test_a_key_variable_may_have_a_name_like_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMIA_KEY", "hunter2")
    with pytest.raises(ConfigError, match="SIMIA_KEY: no such setting"):
        configure(GenerateConfig)
    write('[simulator]\napi_key_env = "SIMIA_KEY"\n')
    assert configure(GenerateConfig).simulator.api_key_env == "SIMIA_KEY"


# Files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[generate]\nn = 0", "simia.toml: [generate] n: found 0; it must be at least 1"),
        ("[generate]\nn = '5'", "[generate] n: found '5'; it must be a whole number"),
        ("[generate]\nn = true", "[generate] n: found True; it must be a whole number"),
        (
            "[generate]\nsedes = 'x'",
            "[generate] sedes: no such setting; did you mean [generate] seeds?",
        ),
        (
            "[generate]\nrequests_per_minute = 5",
            "no such setting; did you mean [simulator] requests_per",
        ),
        (
            "[generate]\nrpm = 5\nm = 1",
            "did you mean [simulator] requests_per_minute? (and 1 more;",
        ),
        ("[simulator]\nrpm = 5", "did you mean [simulator] requests_per_minute?"),
        ("n = 5", "n: no such setting; did you mean [generate] n?"),
        ("hello = 5", "hello: no such setting; there are ["),
        ("generate = 5", "generate: found 5; it must be a table, [generate]"),
        ("[[generate]]\nn = 5", "generate: found a list; it must be a table"),
        ("[genrate]\nn = 5", "[genrate]: no such section; did you mean [generate]?"),
        ("[rl.simulater]\nmodel = 'm'", "[rl.simulater]: no such section; did you mean [rl.sim"),
        ("[simulator]\nmodel = 'm'", "[simulator] model: also needs --base-url"),
        ("[rl.simulator]\nmax_in_flight = 0", "[rl.simulator] max_in_flight: found 0"),
        ("[generate\nn = 5", "line 1, column 10: found the end of the line; it must be valid TOML"),
        ("[generate]\nn = x5", "line 2, column 5: found 'x'; it must be valid TOML"),
        ("a = " + "[" * 5000, "too deeply nested"),
        ("a = " + "9" * 5000, "a number is too long"),
    ],
)
def test_wrong_files(text: str, said: str) -> None:
    write(text)
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        [configure(kind) for kind in KINDS.values()]
    assert str(caught.value).startswith("simia.toml: ")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read() -> None:
    Path("bytes.toml").write_bytes(b"[generate]\nseeds = '\xff'")
    for name, said in [
        ("bytes.toml", "bytes.toml: line 2, column 10: found byte 0xff; it must be UTF-8"),
        (".", ".: cannot be read: Is a directory"),
        ("/dev/zero", "/dev/zero: larger than 256 KiB"),
    ]:
        with pytest.raises(ConfigError, match=re.escape(said)):
            configure(GenerateConfig, None, Path(name))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission() -> None:
    write("[generate]\nn = 1\n")
    Path(DEFAULT_FILE).chmod(0)
    with pytest.raises(ConfigError, match=r"simia\.toml: cannot be read: Permission denied"):
        configure(GenerateConfig)


def test_keys_are_found_on_their_lines() -> None:
    write(
        '# n = 1\r\ntitle = "x"\r\n\r\n[generate] # here\r\ndeclare_tools = [\r\n  "a=1",\r\n]\r\n'
        'seeds = """\r\nn = 7\r\n[rl]\r\n"""\r\nn = 5\r\n[rl]\r\nsimulator = {model = "m"}\r\n'
    )
    assert read_toml(Path(DEFAULT_FILE)).lines == {
        ("title",): 2,
        ("generate", "declare_tools"): 5,
        ("generate", "seeds"): 8,
        ("generate", "n"): 12,
        ("rl", "simulator", "model"): 14,
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40) | st.binary(max_size=40))
def test_any_file_is_read_or_refused_in_one_sentence(content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    Path(DEFAULT_FILE).write_bytes(data)
    sources = find_sources(None, {}, {})
    assert sources.file == DEFAULT_FILE


@given(st.text() | st.lists(st.text()) | st.floats(allow_nan=False, allow_infinity=False))
def test_values_are_written_as_toml_reads_them(value: Any) -> None:
    if isinstance(value, str | list):
        value = str(value).encode("utf-8", "replace").decode()
    written = toml_value(value)
    assert tomllib.loads(f"x = {written}  # {toml_value('s')}")["x"] == value
    assert written.isprintable()


# The template


def test_the_template_changes_nothing_and_states_the_defaults() -> None:
    write(template())
    write(re.sub(r"^#(\w+ = .+)$", r"\1", template(), flags=re.MULTILINE), "stated.toml")
    for kind in KINDS.values():
        assert configure(kind) == kind()
        assert configure(kind, None, Path("stated.toml")) == kind()
    stated = read_toml(Path("stated.toml")).lines
    for key, field in known_settings().items():
        nested = len(key) == 3
        assert nested or (key in stated) == (field.default is not None)
        assert nested or f"# {field.description}" in template()


def docs() -> ModuleType:
    path = Path(__file__).parents[1] / "docs" / "generate.py"
    spec = importlib.util.spec_from_file_location("docs_generate", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date() -> None:
    generator = docs()
    written = (generator.DOCS / "reference" / "config.md").read_text()
    assert written == generator.config_reference(), "run `make docs`"
