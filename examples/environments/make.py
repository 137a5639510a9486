"""Write what is made by code of the environments `office`, `shell` and `telecom` of the library.

Their policies are written by hand. All else is made here: the tools and what they do, the state and
its schema, and, by playing scripts against exact tools, seeds and tasks.

    python examples/environments/make.py [DIRECTORY]
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import office_world.about_calendar
import office_world.about_documents
import office_world.about_mail
import office_world.about_sheets
import office_world.place
import office_world.tools
import shell_world.about_files
import shell_world.about_rights
import shell_world.about_services
import shell_world.machine
import shell_world.questions
import shell_world.tools
import telecom_world.about_accounts
import telecom_world.about_data
import telecom_world.about_signal
import telecom_world.about_speed
import telecom_world.about_suspension
import telecom_world.place
import telecom_world.schema
import telecom_world.tools
import telecom_world.user_tools
from declaring import Declared, manifest
from scripting import Script, Stage, State, seed_of, task_of

from simia_async.builtin.exact import exact_functions
from simia_async.environments.environment import LIBRARY


class World(NamedTuple):
    """All that is made of one environment."""

    name: str
    description: str
    ending_tools: list[str]
    tools: list[Declared]
    state: State
    schema: dict[str, Any]
    scripts: Sequence[Script]
    user_tools: Sequence[Declared] = ()

    def stage(self) -> Stage:
        """Where its scripts are played."""
        writes = [tool.name for tool in self.tools if tool.changes]
        return Stage(self.state, exact_functions(self.name), writes)


SHELL = World(
    "shell",
    "A session on a machine: files, rights, processes, services, scheduled jobs",
    ["hand_over_to_admin"],
    shell_world.tools.TOOLS,
    shell_world.machine.STATE,
    shell_world.machine.SCHEMA,
    [
        *shell_world.about_files.SCRIPTS,
        *shell_world.about_rights.SCRIPTS,
        *shell_world.about_services.SCRIPTS,
        *shell_world.questions.SCRIPTS,
    ],
)
OFFICE = World(
    "office",
    "An assistant in an office: documents, calendar, mail, spreadsheets",
    ["hand_over_to_human"],
    office_world.tools.TOOLS,
    office_world.place.STATE,
    office_world.place.SCHEMA,
    [
        *office_world.about_calendar.SCRIPTS,
        *office_world.about_mail.SCRIPTS,
        *office_world.about_documents.SCRIPTS,
        *office_world.about_sheets.SCRIPTS,
    ],
)
TELECOM = World(
    "telecom",
    "Support of a mobile operator, whose users have tools too: their phones",
    ["hand_over_to_human"],
    telecom_world.tools.TOOLS,
    telecom_world.place.STATE,
    telecom_world.schema.SCHEMA,
    [
        *telecom_world.about_signal.SCRIPTS,
        *telecom_world.about_data.SCRIPTS,
        *telecom_world.about_speed.SCRIPTS,
        *telecom_world.about_suspension.SCRIPTS,
        *telecom_world.about_accounts.SCRIPTS,
    ],
    telecom_world.user_tools.USER_TOOLS,
)
WORLDS = [OFFICE, SHELL, TELECOM]


def files_of(world: World) -> dict[str, str]:
    """The text of each file, by its name."""
    stage = world.stage()
    seeds = [seed_of(script, stage) for script in world.scripts if script.use == "seed"]
    tasks = [task_of(script, stage) for script in world.scripts if script.use != "seed"]
    users = {"user_tools.json": _pretty([tool.schema for tool in world.user_tools])}
    return {
        "environment.toml": manifest(
            world.name, world.description, world.ending_tools, world.tools, world.user_tools
        ),
        "tools.json": _pretty([tool.schema for tool in world.tools]),
        **(users if world.user_tools else {}),
        "state.json": _pretty(world.state),
        "state.schema.json": _pretty(world.schema),
        "seeds.jsonl": _lines(seeds),
        "tasks.jsonl": _lines(tasks),
    }


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _lines(values: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def main() -> None:
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else LIBRARY
    for world in WORLDS:
        (place / world.name).mkdir(parents=True, exist_ok=True)
        for name, text in files_of(world).items():
            (place / world.name / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
