"""Conversation to token ids and back, torch-free; and tool calls in the policy's text."""
