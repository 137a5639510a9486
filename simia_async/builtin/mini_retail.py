"""`mini-retail`: the scripted world of every default. Rule-based; there is no LLM in it."""

from simia_async.builtin.worlds.desk import Desk
from simia_async.builtin.worlds.files import read_declaration

MINI_RETAIL = read_declaration("mini-retail", Desk)
