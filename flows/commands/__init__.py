"""The commands of the command line, by what they are for; `flows.__main__` registers them."""
