"""What importing costs, and what it must not pull in."""

import subprocess
import sys

import simia_async

HEAVY = ("torch", "transformers", "peft", "textual", "openai")


def imported_by(statement: str) -> set[str]:
    """Heavy modules in a fresh interpreter after `statement`."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(out.stdout.split()) & set(HEAVY)


def test_importing_the_package_is_cheap() -> None:
    assert imported_by("import simia_async") == set()


def test_the_owner_of_a_run_never_imports_torch() -> None:
    assert imported_by("import simia_async.api, simia_async.cli.main") == set()


def test_everything_public_is_there() -> None:
    for name in simia_async.__all__:
        assert getattr(simia_async, name) is not None
