"""Scripts of the scripted agent, one module a world. They know its policy and its tools, and see
nothing but the conversation.
"""
