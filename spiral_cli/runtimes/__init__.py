"""Files opened by the runtime they are made for, one runtime a file."""
