"""The recipes are sound, and say of the default what it is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from simia_async.config import GrpoConfig, configure

RECIPES = Path(__file__).parents[1] / "examples" / "recipes"
FILES = sorted(RECIPES.glob("*.toml"))


@pytest.mark.parametrize("recipe", FILES, ids=lambda path: path.stem)
def test_a_recipe_is_sound(recipe: Path) -> None:
    code = "from simia_async.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "config", "check", str(recipe)],
        env={**os.environ, "OPENAI_API_KEY": "k"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "](" + recipe.name in (RECIPES / "README.md").read_text()


def test_the_papers_setting_is_the_papers() -> None:
    config = configure(GrpoConfig, {}, RECIPES / "tau2-qwen3-8b.toml")
    assert (config.steps, config.groups, config.group_size) == (64, 16, 8)
    assert (config.max_turns, config.context, config.policy.temperature) == (40, 9000, 0.7)
    assert (config.loss, config.kl_coefficient) == ("grpo", 0.001)
    assert (config.mode, config.world) == ("joint", "transcript")


def test_the_default_is_written_out_as_it_is() -> None:
    assert configure(GrpoConfig, {}, RECIPES / "cpu.toml") == GrpoConfig()


@pytest.mark.parametrize("recipe", FILES, ids=lambda path: path.stem)
def test_each_setting_is_explained(recipe: Path) -> None:
    for block in recipe.read_text().split("\n\n"):
        settings = [line for line in block.splitlines() if re.match(r"\w+ = ", line)]
        assert not settings or "# " in block, block
