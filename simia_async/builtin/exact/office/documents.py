"""Tools for documents."""

from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.office.rights import allow, clear, colleague, found, me, next_id
from simia_async.environments.tool_effects import ToolError


def search_documents(state: State, text: str = "", folder: str | None = None) -> Any:
    """Documents that hold a text in title or body."""
    wanted = text.lower()
    return {
        "documents": [
            {"document_id": key, **{name: it[name] for name in ("title", "folder", "owner")}}
            for key, it in state["documents"].items()
            if folder in (None, it["folder"])
            and (wanted in it["title"].lower() or wanted in it["body"].lower())
        ]
    }


def get_document(state: State, document_id: str) -> Any:
    """A whole document."""
    return found(state, "documents", document_id)


def create_document(state: State, title: str, folder: str, body: str) -> Any:
    """A document of one's own, shared with nobody."""
    key = next_id(state["documents"], "doc_")
    state["documents"][key] = {
        "title": clear(title, "title"),
        "folder": clear(folder, "folder"),
        "owner": me(state),
        "body": body,
        "access": {},
        "comments": {},
        "modified": state["me"]["today"],
    }
    return {"document_id": key, "title": title, "folder": folder}


def replace_in_document(state: State, document_id: str, old: str, new: str) -> Any:
    """A text in the body, wherever it stands."""
    document = _for_edit(state, document_id)
    count = document["body"].count(old) if old else 0
    if not count or old == new:
        raise ToolError(f"{document_id}: {old!r} does not stand in it, or is to stay as it is")
    document["body"] = document["body"].replace(old, new)
    document["modified"] = state["me"]["today"]
    return {"document_id": document_id, "replaced": count}


def append_to_document(state: State, document_id: str, text: str) -> Any:
    """A new last line."""
    document = _for_edit(state, document_id)
    document["body"] += f"\n{clear(text, 'text')}"
    document["modified"] = state["me"]["today"]
    return {"document_id": document_id, "modified": document["modified"]}


def move_document(state: State, document_id: str, folder: str) -> Any:
    """To another folder."""
    document = _owned(state, document_id)
    if document["folder"] == folder:
        raise ToolError(f"{document_id}: lies in {folder} already")
    document["folder"] = clear(folder, "folder")
    return {"document_id": document_id, "folder": folder}


def share_document(state: State, document_id: str, email: str, access: str) -> Any:
    """Access of a colleague, or no more of it."""
    document = _owned(state, document_id)
    colleague(state, email)
    if document["access"].get(email, "none") == access or email == me(state):
        raise ToolError(f"{document_id}: {email} has this access already, or owns it")
    if access == "none":
        del document["access"][email]
    else:
        document["access"][email] = access
    return {"document_id": document_id, "access": document["access"]}


def comment_on_document(state: State, document_id: str, text: str) -> Any:
    """A remark at the side."""
    document = found(state, "documents", document_id)
    allow(state, document, document_id, "comment")
    key = next_id(document["comments"], "c")
    comment = {"author": me(state), "text": clear(text, "text"), "resolved": False}
    document["comments"][key] = comment
    return {"document_id": document_id, "comment_id": key}


def resolve_comment(state: State, document_id: str, comment_id: str) -> Any:
    """A remark that is dealt with."""
    document = found(state, "documents", document_id)
    allow(state, document, document_id, "comment")
    comment = document["comments"].get(comment_id)
    if comment is None or comment["resolved"]:
        raise ToolError(f"{document_id}: has no open comment {comment_id}")
    comment["resolved"] = True
    return {"document_id": document_id, "comment_id": comment_id, "resolved": True}


def _owned(state: State, document_id: str) -> dict[str, Any]:
    document = found(state, "documents", document_id)
    if document["owner"] != me(state):
        raise ToolError(f"{document_id}: only its owner, {document['owner']}, can do this")
    return document


def _for_edit(state: State, document_id: str) -> dict[str, Any]:
    document = found(state, "documents", document_id)
    allow(state, document, document_id, "edit")
    return document
