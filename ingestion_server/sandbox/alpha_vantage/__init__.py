"""
Alpha Vantage as its documents and recordings show it, sans-IO.

Facts come from the project's fact sheet and the recorded replies; nothing here
looks at the code that reads the real vendor.
"""
