"""The tools of `shell`."""

from declaring import Argument, flag, maybe, number, reads, text, whole, writes

PATH = text("Absolute path, without '.', '..' or a slash at its end.")
SUDO = flag("Whether to act with root's rights; the user must be allowed to.")
SERVICE = text("Name of the service.")
JOB = text("Name of the job.")
PID = text("Process id, for example 2210.")
CONTENT = text("The text; a line break is added at its end where there is none.")
SIZE: Argument = number("Only files of more megabytes than this.")

TOOLS = [
    reads(
        "get_session",
        "Tell who is signed in, with groups, whether they may use sudo, the host and the date.",
        "/session",
    ),
    reads(
        "list_directory",
        "List what stands in a directory, with kind, owner, group, mode, date of the last change "
        "and, for what is not text, size_mb. Links are followed.",
        path=PATH,
        sudo=SUDO,
    ),
    reads(
        "get_file_info",
        "Tell kind, owner, group, mode and date of the last change of a path; links are not "
        "followed, their target is told.",
        path=PATH,
    ),
    reads(
        "read_file",
        "Read a text file, or some of its lines, with the number of lines it has. Links are "
        "followed.",
        path=PATH,
        first_line=maybe(whole("First line to show; the first of the file if left out.")),
        last_line=maybe(whole("Last line to show; the last of the file if left out.")),
        sudo=SUDO,
    ),
    reads(
        "search_text",
        "Find the lines that hold a text, in a file or in all readable files below a directory. "
        "At most 40 are shown; count is how many there are.",
        path=PATH,
        text=text("The text as it stands there; it is no pattern."),
        ignore_case=flag("Whether capitals make no difference."),
    ),
    reads(
        "find_files",
        "Find what stands below a directory, at any depth, and fits all that is asked for. At most "
        "40 are shown; count is how many there are.",
        path=PATH,
        name=maybe(text("Pattern for the name, with * and ?, for example *.log.")),
        kind=maybe(text("Only this kind.", "file", "directory", "link")),
        larger_than_mb=maybe(SIZE),
        modified_before=maybe(text("Only what was last changed before this day, as YYYY-MM-DD.")),
        owner=maybe(text("Only what belongs to this user.")),
    ),
    reads(
        "get_disk_usage",
        "Tell how many megabytes lie below a directory, and in each of its entries. Text files are "
        "so small that they count as nothing.",
        path=PATH,
    ),
    writes(
        "write_file",
        "Write a text file: a new one (mode 644), or all of the text of one that is there.",
        "/files/{path}",
        path=PATH,
        content=CONTENT,
        sudo=SUDO,
    ),
    writes(
        "append_to_file",
        "Add lines at the end of a text file that is there.",
        "/files/{path}",
        path=PATH,
        text=CONTENT,
        sudo=SUDO,
    ),
    writes(
        "replace_in_file",
        "Replace a text by another wherever it stands in a text file.",
        "/files/{path}",
        path=PATH,
        old=text("What stands there now, exactly."),
        new=text("What is to stand there."),
        sudo=SUDO,
    ),
    writes(
        "make_directory",
        "Make an empty directory (mode 755) in one that is there.",
        "/files/{path}",
        path=PATH,
        sudo=SUDO,
    ),
    writes(
        "make_link",
        "Make a link to a path, or turn a link that is there to another path; its owner stays.",
        "/files/{path}",
        path=PATH,
        target=text("Absolute path that it leads to."),
        sudo=SUDO,
    ),
    writes(
        "copy_path",
        "Copy a file, or a directory with all that is below it. The copy belongs to the user, has "
        "today's date and the same modes. The target must not be there yet.",
        "/files",
        source=PATH,
        target=text("Absolute path of the copy itself, not of the directory it goes to."),
        sudo=SUDO,
    ),
    writes(
        "move_path",
        "Move or rename a file, or a directory with all that is below it; nothing else about it "
        "changes. The target must not be there yet.",
        "/files",
        source=PATH,
        target=text("Absolute new path of the thing itself."),
        sudo=SUDO,
    ),
    writes(
        "delete_path",
        "Delete a file, a link (not what it leads to) or a directory. There is no way back.",
        "/files",
        path=PATH,
        recursive=flag("Whether a directory goes with all that is below it."),
        sudo=SUDO,
    ),
    writes(
        "set_mode",
        "Set the mode of a file or directory, and of nothing below it.",
        "/files/{path}/mode",
        path=PATH,
        mode=text("Three digits for owner, group and others, for example 640."),
        sudo=SUDO,
    ),
    writes(
        "set_owner",
        "Set owner and group of a file or directory, and of nothing below it. Needs sudo, and "
        "always uses it.",
        "/files/{path}/owner",
        "/files/{path}/group",
        path=PATH,
        owner=text("Name of the account."),
        group=text("Name of the group."),
    ),
    reads(
        "list_processes",
        "List processes with user, command, share of the processor, memory, status and start.",
        user=maybe(text("Only those of this user.")),
        command=maybe(text("Only those whose command holds this text.")),
    ),
    writes(
        "stop_process",
        "Tell a process to end (TERM), or end it at once (KILL). One that is stuck does not end on "
        "TERM, but is `terminating` from then on.",
        "/processes/{pid}",
        pid=PID,
        signal=text("What it is told.", "TERM", "KILL"),
        sudo=SUDO,
    ),
    reads("list_services", "List the services of the machine with their status."),
    reads(
        "get_service",
        "Tell all about a service: status, autostart, config and log file, the user it runs as, "
        "what must be there for it to start, and what was done with it.",
        "/services/{service}",
        service=SERVICE,
    ),
    writes(
        "control_service",
        "Start, stop, restart or reload a service; what was done is added to its history. Needs "
        "sudo, and always uses it.",
        "/services/{service}/status",
        "/services/{service}/history",
        service=SERVICE,
        action=text("What to do.", "start", "stop", "restart", "reload"),
    ),
    writes(
        "set_service_autostart",
        "Say whether a service starts with the machine. Needs sudo, and always uses it.",
        "/services/{service}/autostart",
        service=SERVICE,
        enabled=Argument({"type": "boolean", "description": "Whether it does."}),
    ),
    reads("list_scheduled_jobs", "List the scheduled jobs of the signed-in user."),
    writes(
        "set_scheduled_job",
        "Make a scheduled job of the signed-in user, or replace theirs of the same name.",
        "/jobs/{job}",
        job=JOB,
        schedule=text("The five fields of cron, for example '30 2 * * *'."),
        command=text("What it runs."),
        enabled=Argument(
            {"type": "boolean", "description": "Whether it runs; true if left out."},
            required=False,
        ),
    ),
    writes(
        "remove_scheduled_job",
        "Remove a scheduled job of the signed-in user.",
        "/jobs/{job}",
        job=JOB,
    ),
    reads(
        "hand_over_to_admin",
        "Hand the conversation over to the administrators of the machine.",
        summary=text("What they must know: who asks, for what, and why it is theirs."),
    ),
]
