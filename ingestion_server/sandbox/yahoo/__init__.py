"""
Yahoo Finance as its recordings show it, sans-IO: chart, quote, cookie and crumb.

Facts come from the project's fact sheet and the recorded replies; nothing here
looks at the code that reads the real vendor.
"""
