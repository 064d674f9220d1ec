"""What the server does, talking to the other rooms through ports."""
