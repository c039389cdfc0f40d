"""Tools for assistants, over the Model Context Protocol (https://modelcontextprotocol.io): one for each trusted document.

The protocol is the official SDK's, an extra: only `gateway.mcp.server` imports it, when it is needed first.
"""
