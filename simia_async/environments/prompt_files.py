"""`prompts/<role>.md`: an environment's own words for a role of the simulator."""

from pathlib import Path

from simia_async.environments.files import Report, read_text

ROLES = ("user", "tool", "joint", "judge", "author", "reviewer", "task_author")


def read_prompts(folder: Path, report: Report) -> dict[str, str]:
    """The words by role; what is no prompt of a role is reported."""
    if not folder.exists():
        return {}
    if not folder.is_dir():
        report(f"{folder}: is no directory; expected one with a file for a role: {_names()}")
        return {}
    prompts = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue  # editors and file managers leave such behind
        if path.suffix != ".md" or path.stem not in ROLES:
            report(f"{path}: is the prompt of no role; expected {_names()}")
            continue
        text = read_text(path, report)
        if text is not None and not text.strip():
            report(f"{path}: is empty; remove it to use the words that come with simia-async")
        elif text is not None:
            prompts[path.stem] = text.strip()
    return prompts


def _names() -> str:
    return ", ".join(f"{role}.md" for role in ROLES)
