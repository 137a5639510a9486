"""Tools for mail."""

import re
from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.office.rights import clear, found, me, next_id
from simia_async.environments.tool_effects import ToolError

_ADDRESS = re.compile("[^@ ]+@[^@ ]+")


def search_mail(
    state: State,
    text: str = "",
    folder: str | None = None,
    sender: str | None = None,
    unread: bool = False,
) -> Any:
    """Messages that fit all that is asked for, the newest first."""
    wanted = text.lower()
    names = ("folder", "sender", "subject", "date", "read", "labels")
    rows = [
        {"message_id": key, **{name: it[name] for name in names}}
        for key, it in state["messages"].items()
        if folder in (None, it["folder"])
        and (sender is None or sender.lower() in it["sender"])
        and (wanted in it["subject"].lower() or wanted in it["body"].lower())
        and not (unread and it["read"])
    ]
    return {"messages": sorted(rows, key=lambda row: row["date"], reverse=True)}


def get_message(state: State, message_id: str) -> Any:
    """A whole message."""
    return found(state, "messages", message_id)


def send_mail(state: State, to: list[str], subject: str, body: str) -> Any:
    """A new message."""
    return _sent(state, to, clear(subject, "subject"), clear(body, "body"), "")


def reply_to_message(state: State, message_id: str, body: str) -> Any:
    """An answer to the sender."""
    message = found(state, "messages", message_id)
    subject = _prefixed("Re: ", message["subject"])
    return _sent(state, [message["sender"]], subject, clear(body, "body"), message_id)


def forward_message(state: State, message_id: str, to: list[str], note: str = "") -> Any:
    """A message for others."""
    message = found(state, "messages", message_id)
    body = f"{note}\n\n{message['body']}" if note else message["body"]
    return _sent(state, to, _prefixed("Fwd: ", message["subject"]), body, message_id)


def move_message(state: State, message_id: str, folder: str) -> Any:
    """To another folder."""
    message = found(state, "messages", message_id)
    if message["folder"] == folder:
        raise ToolError(f"{message_id}: is in {folder} already")
    message["folder"] = folder
    return {"message_id": message_id, "folder": folder}


def set_label(state: State, message_id: str, label: str, on: bool = True) -> Any:
    """A label put on a message, or taken off."""
    message = found(state, "messages", message_id)
    clear(label, "label")
    if (label in message["labels"]) == on:
        raise ToolError(f"{message_id}: the label {label} is {'on' if on else 'off'} already")
    others = [each for each in message["labels"] if each != label]
    message["labels"] = sorted([*others, label]) if on else others
    return {"message_id": message_id, "labels": message["labels"]}


def mark_message(state: State, message_id: str, read: bool) -> Any:
    """A message as read or unread."""
    message = found(state, "messages", message_id)
    if message["read"] == read:
        raise ToolError(f"{message_id}: is so already")
    message["read"] = read
    return {"message_id": message_id, "read": read}


def _sent(state: State, to: list[str], subject: str, body: str, reply_to: str) -> Any:
    if not to or not all(map(_ADDRESS.fullmatch, to)):
        raise ToolError("to: give at least one e-mail address, and nothing else")
    key = next_id(state["messages"], "msg_")
    state["messages"][key] = {
        "folder": "sent",
        "sender": me(state),
        "to": sorted(to),
        "subject": subject,
        "body": body,
        "date": state["me"]["today"],
        "read": True,
        "labels": [],
        "reply_to": reply_to,
    }
    return {"message_id": key, "to": sorted(to), "subject": subject}


def _prefixed(prefix: str, subject: str) -> str:
    return subject if subject.startswith(prefix) else f"{prefix}{subject}"
