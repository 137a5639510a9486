"""The tools of the environment `telecom`: the agent's, as its tools.json describes them, and the
user's, as user_tools.json does.
"""

from simia_async.builtin.exact.binding import Tool
from simia_async.builtin.exact.telecom import accounts, phone, services

TOOLS: dict[str, Tool] = {
    tool.__name__: tool
    for tool in (
        accounts.find_customer_by_phone,
        accounts.find_customer_by_name,
        accounts.get_customer,
        accounts.get_line,
        accounts.get_data_usage,
        accounts.list_plans,
        accounts.get_plan,
        accounts.list_bills,
        accounts.get_bill,
        accounts.get_area_status,
        services.suspend_line,
        services.resume_line,
        services.set_roaming,
        services.change_plan,
        services.add_data,
        services.request_payment,
        services.refresh_registration,
        services.open_ticket,
        services.hand_over_to_human,
        phone.check_status_bar,
        phone.check_network_settings,
        phone.check_sim,
        phone.check_apn,
        phone.check_vpn,
        phone.check_app_permissions,
        phone.check_payment_requests,
        phone.run_speed_test,
        phone.send_test_picture,
        phone.set_airplane_mode,
        phone.set_mobile_data,
        phone.set_data_roaming,
        phone.set_data_saver,
        phone.set_wifi,
        phone.set_network_mode,
        phone.disconnect_vpn,
        phone.reseat_sim,
        phone.enter_sim_pin,
        phone.reset_apn,
        phone.restart_phone,
        phone.grant_app_permission,
        phone.pay_bill,
    )
}
