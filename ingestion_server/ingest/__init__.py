"""What the server does: fetch and batch, through the rooms below."""
