"""Scripts in which files are made, moved, copied, changed and deleted."""

from typing import Any

from scripting import Call, Say, Script, User, call, numbered

from shell_world.people import SESSION, agreed, signed_in, told


def change_setting(
    name: str, use: Any, *, wish: str, path: str, old: str, new: str, other: str
) -> Script:
    """A line of a file that the user may write."""
    return Script(
        id=name,
        use=use,
        instructions=told("maya", f"{wish} It is in {path}."),
        goal=f"{path} says {new!r} instead of {old!r}, and is otherwise as it was.",
        steps=[
            User(f"{wish} The file is {path}."),
            SESSION,
            call("read_file", path=path),
            *agreed(f"It says `{old}`. I would change that to `{new}` in {path}. Shall I?"),
            call("replace_in_file", path=path, old=old, new=new),
            Say(f"Done: {path} now says `{new}`."),
        ],
        wrong=[
            [call("replace_in_file", path=path, old=old, new=other)],
            [call("write_file", path=path, content=new)],
        ],
    )


def move_away(
    name: str, use: Any, *, who: str, wish: str, source: str, folder: str, new: bool
) -> Script:
    """A file goes to another directory, which may have to be made."""
    target = f"{folder}/{source.rpartition('/')[2]}"
    make = [call("make_directory", path=folder)] if new else []
    parent = source.rpartition("/")[0]
    return Script(
        id=name,
        use=use,
        start=signed_in(who),
        instructions=told(who, wish),
        goal=f"{source} lies at {target}" + (", a directory that was made." if new else "."),
        steps=[
            User(wish),
            SESSION,
            call("list_directory", path=parent),
            call("list_directory", path=folder.rpartition("/")[0]),
            *agreed(
                f"I would move {source} to {target}"
                + (f", in the new directory {folder}" if new else "")
                + ". Is that right?",
                "Yes, that's right.",
            ),
            *make,
            call("move_path", source=source, target=target),
            Say(f"{source} is now {target}."),
        ],
        wrong=[
            [*make, call("copy_path", source=source, target=target)],
            [call("delete_path", path=source)],
        ],
    )


def rename(name: str, use: Any, *, who: str, path: str, new: str, opening: str) -> Script:
    """A file gets another name where it lies."""
    folder = path.rpartition("/")[0]
    target = f"{folder}/{new}"
    return Script(
        id=name,
        use=use,
        start=signed_in(who),
        instructions=told(who, f"You want {path} to be called {new}."),
        goal=f"{path} is called {new}.",
        steps=[
            User(opening),
            SESSION,
            call("list_directory", path=folder),
            *agreed(f"I would rename {path} to {target}. All right?", "Yes."),
            call("move_path", source=path, target=target),
            Say(f"It is called {new} now: {target}."),
        ],
        wrong=[[call("copy_path", source=path, target=target)]],
    )


def copy_file(name: str, use: Any, *, who: str, source: str, target: str, opening: str) -> Script:
    """A copy for the user."""
    return Script(
        id=name,
        use=use,
        start=signed_in(who),
        instructions=told(who, f"You want a copy of {source} at {target}."),
        goal=f"There is a copy of {source} at {target}; the original is untouched.",
        steps=[
            User(opening),
            SESSION,
            call("get_file_info", path=source),
            call("copy_path", source=source, target=target),
            Say(f"The copy is at {target} and belongs to you; the original is as it was."),
        ],
        wrong=[[call("move_path", source=source, target=target)]],
    )


def new_file(name: str, use: Any, *, who: str, path: str, lines: list[str], opening: str) -> Script:
    """A file with words that the user gives."""
    content = "\n".join(lines)
    spoken = " / ".join(lines)
    return Script(
        id=name,
        use=use,
        start=signed_in(who),
        instructions=told(
            who,
            f"You want a new file {path} with exactly these lines (a / is a line break): {spoken}",
        ),
        goal=f"{path} holds {len(lines)} lines, word for word as given.",
        steps=[
            User(f"{opening} {path}, with these lines:\n{content}"),
            SESSION,
            call("list_directory", path=path.rpartition("/")[0]),
            call("write_file", path=path, content=content),
            Say(f"I made {path} with your {len(lines)} lines."),
        ],
        wrong=[[call("write_file", path=path, content=lines[0])]],
    )


def add_line(
    name: str, use: Any, *, path: str, line: str, opening: str, sudo: bool = False
) -> Script:
    """A line at the end of a file."""
    rights: dict[str, Any] = {"sudo": True} if sudo else {}
    how = " This needs sudo, which you may use." if sudo else ""
    return Script(
        id=name,
        use=use,
        instructions=told("maya", f"You want the line {line!r} added at the end of {path}."),
        goal=f"{path} ends with the line {line!r}; the rest is as it was.",
        steps=[
            User(opening),
            SESSION,
            call("get_file_info", path=path),
            call("read_file", path=path),
            *agreed(f"I would add this line at the end of {path}: {line}{how} Shall I?", "Yes."),
            call("append_to_file", path=path, text=line, **rights),
            Say(f"Done, {path} now ends with: {line}"),
        ],
        wrong=[[call("write_file", path=path, content=line, **rights)]],
    )


def replace_words(name: str, use: Any, *, old: str, new: str, count: int, opening: str) -> Script:
    """A word of the report wherever it stands."""
    path = "/home/maya/projects/report/draft.md"
    return Script(
        id=name,
        use=use,
        instructions=told(
            "maya",
            f"In the draft of the annual report in your projects (draft.md), {old!r} must "
            f"become {new!r} everywhere. You want to know how often it stood there.",
        ),
        goal=f"{old!r} is {new!r} in {path}; the user is told that it was {count} time(s).",
        must_say=[[str(count)]],
        steps=[
            User(opening),
            SESSION,
            call("find_files", path="/home/maya/projects", name="draft*.md"),
            call("search_text", path=path, text=old),
            *agreed(f"In {path} I would replace {old!r} by {new!r} wherever it stands. Shall I?"),
            call("replace_in_file", path=path, old=old, new=new),
            Say(f"Done. It stood there {count} time{'s' * (count > 1)}, in {path}."),
        ],
        wrong=[
            [
                call(
                    "replace_in_file",
                    path="/home/maya/projects/report/draft-old.md",
                    old="Annual",
                    new=new,
                )
            ],
        ],
    )


def delete_big_file(
    name: str, use: Any, *, path: str, size: str, opening: str, spared: str
) -> Script:
    """A big file of the user's own."""
    folder = path.rpartition("/")[0]
    return Script(
        id=name,
        use=use,
        instructions=told(
            "maya",
            f"{opening} You mean {path.rpartition('/')[2]}, and nothing else may go. "
            "You want to know how much it frees.",
        ),
        goal=f"{path} is deleted, and nothing else; {size} MB are free.",
        must_say=[[size]],
        steps=[
            User(f"{opening} It is called {path.rpartition('/')[2]}."),
            SESSION,
            call("find_files", path=folder, kind="file", larger_than_mb=100),
            *agreed(f"I would delete {path} ({size} MB). There is no way back. Shall I?", "Yes."),
            call("delete_path", path=path),
            Say(f"{path} is gone, which frees {size} MB."),
        ],
        wrong=[
            [call("delete_path", path=spared)],
            [call("delete_path", path=path), call("delete_path", path=spared)],
        ],
    )


def delete_tree(name: str, use: Any, *, who: str, path: str, size: str, opening: str) -> Script:
    """A directory with all that is in it."""
    return Script(
        id=name,
        use=use,
        start=signed_in(who),
        instructions=told(who, f"You want {path} deleted with all that is in it."),
        goal=f"{path} is gone with all that was in it, {size} MB.",
        must_say=[[size]],
        steps=[
            User(opening),
            SESSION,
            call("list_directory", path=path),
            call("get_disk_usage", path=path),
            call("list_directory", path=path.rpartition("/")[0]),
            *agreed(
                f"I would delete {path} with all that is in it, {size} MB. There is no way back. "
                "Shall I go on?",
                "Go ahead, yes.",
            ),
            call("delete_path", path=path, recursive=True),
            Say(f"{path} is deleted; that was {size} MB."),
        ],
        wrong=[[call("delete_path", path=path)]],
    )


def delete_old_logs(name: str, use: Any, *, months: list[str], mb: str, opening: str) -> Script:
    """Logs that are more than 30 days old."""
    paths = [f"/var/log/web/access-2025-{month}.log" for month in months]
    listed = ", ".join(paths)
    away: list[Call] = [call("delete_path", path=path) for path in paths]
    return Script(
        id=name,
        use=use,
        instructions=told("maya", f"{opening} You want to know how many megabytes that frees."),
        goal=f"Deleted, and nothing else: {listed}. The user is told {mb} MB.",
        must_say=[[mb]],
        steps=[
            User(opening),
            SESSION,
            call(
                "find_files", path="/var/log/web", name="access-*.log", modified_before="2025-05-19"
            ),
            *agreed(f"I would delete {listed}, {mb} MB together. Shall I?"),
            *away,
            Say(f"Deleted: {listed}. That frees {mb} MB."),
        ],
        wrong=[
            away[1:],
            [*away, call("delete_path", path="/var/log/web/access-2025-05.log")],
        ],
    )


NOTES = "/home/maya/notes.txt"
SCRAPER = "/home/maya/projects/scraper/config.toml"

SCRIPTS: list[Script] = [
    *numbered(
        change_setting,
        {
            "wish": "The scraper should wait 30 seconds before it gives up, not 10.",
            "path": SCRAPER,
            "old": "timeout = 10",
            "new": "timeout = 30",
            "other": "timeout = 300",
        },
        {
            "wish": "I want the scraper to try five times instead of twice.",
            "path": SCRAPER,
            "old": "retries = 2",
            "new": "retries = 5",
            "other": "retries = 3",
        },
        {
            "wish": "Please show 50 items per page on the report site instead of 25.",
            "path": "/srv/web/shared/settings.toml",
            "old": "items_per_page = 25",
            "new": "items_per_page = 50",
            "other": "items_per_page = 500",
        },
        {
            "wish": "The scraper is too fast, it should pause 3 seconds between pages, not 1.",
            "path": SCRAPER,
            "old": "delay_seconds = 1",
            "new": "delay_seconds = 3",
            "other": "delay_seconds = 30",
        },
    ),
    *numbered(
        move_away,
        {
            "who": "maya",
            "source": "/home/maya/projects/report/draft-old.md",
            "folder": "/home/maya/archive",
            "new": False,
            "wish": "Put the old draft of the report, draft-old.md, into the archive in my home.",
        },
        {
            "who": "maya",
            "source": "/home/maya/projects/simulation/runs-may.npz",
            "folder": "/home/maya/archive/simulation",
            "new": True,
            "wish": "Move runs-may.npz of my simulation project to a new directory simulation in "
            "/home/maya/archive.",
        },
        {
            "who": "maya",
            "source": "/home/maya/downloads/paper.pdf",
            "folder": "/home/maya/projects/report",
            "new": False,
            "wish": "The paper I downloaded, paper.pdf, belongs to my report project. Move it "
            "there.",
        },
        {
            "who": "jonas",
            "source": "/home/jonas/results/model-old.bin",
            "folder": "/home/jonas/results/old",
            "new": True,
            "wish": "Please make a directory old in /home/jonas/results and move model-old.bin "
            "there.",
        },
    ),
    *numbered(
        rename,
        {
            "who": "maya",
            "path": "/home/maya/projects/report/draft.md",
            "new": "report-2025.md",
            "opening": "the draft in projects/report is final now, can you rename draft.md to "
            "report-2025.md",
        },
        {
            "who": "maya",
            "path": "/home/maya/projects/report/data.csv",
            "new": "revenue.csv",
            "opening": "Hi! data.csv in my report project is a silly name. Call it revenue.csv.",
        },
        {
            "who": "jonas",
            "path": "/home/jonas/train.py",
            "new": "train_small.py",
            "opening": "Could you rename my train.py to train_small.py? It's right in my home.",
        },
    ),
    *numbered(
        copy_file,
        {
            "who": "maya",
            "source": "/home/jonas/results/scores.csv",
            "target": "/home/maya/projects/report/scores.csv",
            "opening": "Jonas says I can have his scores: copy /home/jonas/results/scores.csv to "
            "/home/maya/projects/report/scores.csv please.",
        },
        {
            "who": "maya",
            "source": "/srv/web/shared/settings.toml",
            "target": "/home/maya/archive/settings.toml",
            "opening": "Before we touch anything I'd like a copy of /srv/web/shared/settings.toml "
            "at "
            "/home/maya/archive/settings.toml.",
        },
        {
            "who": "jonas",
            "source": "/srv/research/rota.csv",
            "target": "/home/jonas/rota.csv",
            "opening": "I need my own copy of the rota. It's /srv/research/rota.csv, put it at "
            "/home/jonas/rota.csv.",
        },
    ),
    *numbered(
        new_file,
        {
            "who": "maya",
            "path": "/home/maya/projects/report/reviewers.txt",
            "lines": ["Priya: figures", "Jonas: numbers"],
            "opening": "Please make",
        },
        {
            "who": "maya",
            "path": "/srv/research/packing-list.md",
            "lines": ["# Field trip", "- tripod", "- spare batteries"],
            "opening": "We need a file",
        },
        {
            "who": "jonas",
            "path": "/home/jonas/results/README.md",
            "lines": ["Scores of the small model.", "Ask Jonas before you use them."],
            "opening": "hey, create",
        },
    ),
    *numbered(
        add_line,
        {
            "path": NOTES,
            "line": "book the train to Porto",
            "opening": 'Add "book the train to Porto" to the end of /home/maya/notes.txt.',
        },
        {
            "path": "/srv/research/rota.csv",
            "line": "27,maya",
            "opening": "I'm on call in week 27. Add the line 27,maya to /srv/research/rota.csv "
            "please.",
        },
        {
            "path": "/etc/hosts",
            "line": "10.0.4.30 lotus",
            "sudo": True,
            "opening": "The new machine lotus has the address 10.0.4.30. Please add "
            '"10.0.4.30 lotus" at the end of /etc/hosts.',
        },
    ),
    *numbered(
        replace_words,
        {
            "old": "Lisbon",
            "new": "Porto",
            "count": 1,
            "opening": "Big mistake in my report: the team is in Porto, not Lisbon. Can you "
            "replace "
            "it in draft.md wherever it stands, and tell me how often?",
        },
        {
            "old": "14 people",
            "new": "15 people",
            "count": 1,
            "opening": "The draft of the annual report (draft.md) says 14 people, it has to be 15 "
            "people. Everywhere, and how often was that?",
        },
        {
            "old": "figures/",
            "new": "images/",
            "count": 2,
            "opening": "In draft.md of my report every figures/ should become images/. How many "
            "are "
            "there?",
        },
    ),
    *numbered(
        delete_big_file,
        {
            "path": "/home/maya/downloads/talk.mp4",
            "size": "760",
            "spared": "/home/maya/downloads/dataset-full.zip",
            "opening": "I don't need that recorded talk in my downloads any more, delete it.",
        },
        {
            "path": "/home/maya/downloads/installer.run",
            "size": "512",
            "spared": "/home/maya/downloads/talk.mp4",
            "opening": "There is an old installer in my downloads. Please get rid of it.",
        },
        {
            "path": "/tmp/maya-export.tar",
            "size": "1340",
            "spared": "/tmp/session.lock",
            "opening": "I left an export in /tmp last month that can be deleted.",
        },
    ),
    *numbered(
        delete_tree,
        {
            "who": "jonas",
            "path": "/tmp/render-cache",
            "size": "2750",
            "opening": "my render cache in /tmp/render-cache can go, everything in it. how big was "
            "it?",
        },
        {
            "who": "maya",
            "path": "/home/maya/projects/simulation",
            "size": "4190",
            "opening": "I finished the simulation project. Delete /home/maya/projects/simulation "
            "with everything in it, and tell me how much that was.",
        },
        {
            "who": "priya",
            "path": "/srv/web/releases/2025-05-28",
            "size": "84",
            "opening": "We will never go back to the release of May. Delete "
            "/srv/web/releases/2025-05-28 completely, please, and tell me its size.",
        },
    ),
    *numbered(
        delete_old_logs,
        {
            "months": ["02", "03"],
            "mb": "1975.4",
            "opening": "The disk is filling up. Delete the web access logs of February and March, "
            "and tell me how much we get back.",
        },
        {
            "months": ["04"],
            "mb": "1210.6",
            "opening": "Please delete the web access log of April. How much was it?",
        },
        {
            "months": ["02", "03", "04"],
            "mb": "3186",
            "opening": "Delete all archived web access logs that our rules let us delete. How many "
            "megabytes is that?",
        },
    ),
]
