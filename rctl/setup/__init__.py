"""``rctl setup``: the files of rctl on a host, besides the program itself. Units, completion, man pages."""
