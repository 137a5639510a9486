"""The embedded default: scripted worlds behind a real server, and the tiny base policy.

Rule-based and small, so that the whole loop runs offline. Nothing here is an LLM.
"""
