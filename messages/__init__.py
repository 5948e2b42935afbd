"""Everything that crosses a process border: events, commands, views, and the names of the places they meet.

Imports nothing of ours. Read README.md beside this file before changing a field: it holds the rules by
which old journals and other programs keep understanding us.
"""
