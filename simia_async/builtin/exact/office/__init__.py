"""The tools of the environment `office`, exactly as its tools.json describes them."""

from simia_async.builtin.exact.binding import Tool
from simia_async.builtin.exact.office import calendar, documents, mail, people, sheets

TOOLS: dict[str, Tool] = {
    tool.__name__: tool
    for tool in (
        people.get_me,
        people.find_people,
        people.get_person,
        documents.search_documents,
        documents.get_document,
        documents.create_document,
        documents.replace_in_document,
        documents.append_to_document,
        documents.move_document,
        documents.share_document,
        documents.comment_on_document,
        documents.resolve_comment,
        calendar.list_events,
        calendar.get_event,
        calendar.find_free_times,
        calendar.find_rooms,
        calendar.create_event,
        calendar.move_event,
        calendar.cancel_event,
        calendar.add_attendee,
        calendar.remove_attendee,
        calendar.respond_to_invitation,
        mail.search_mail,
        mail.get_message,
        mail.send_mail,
        mail.reply_to_message,
        mail.forward_message,
        mail.move_message,
        mail.set_label,
        mail.mark_message,
        sheets.list_sheets,
        sheets.get_sheet,
        sheets.find_rows,
        sheets.sum_column,
        sheets.set_cell,
        sheets.add_row,
        sheets.delete_row,
        people.hand_over_to_human,
    )
}
