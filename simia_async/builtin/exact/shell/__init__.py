"""The tools of the environment `shell`, exactly as its tools.json describes them."""

from simia_async.builtin.exact.binding import Tool
from simia_async.builtin.exact.shell import changing, looking, system

TOOLS: dict[str, Tool] = {
    tool.__name__: tool
    for tool in (
        looking.get_session,
        looking.list_directory,
        looking.get_file_info,
        looking.read_file,
        looking.search_text,
        looking.find_files,
        looking.get_disk_usage,
        changing.write_file,
        changing.append_to_file,
        changing.replace_in_file,
        changing.make_directory,
        changing.make_link,
        changing.copy_path,
        changing.move_path,
        changing.delete_path,
        changing.set_mode,
        changing.set_owner,
        system.list_processes,
        system.stop_process,
        system.list_services,
        system.get_service,
        system.control_service,
        system.set_service_autostart,
        system.list_scheduled_jobs,
        system.set_scheduled_job,
        system.remove_scheduled_job,
        system.hand_over_to_admin,
    )
}
