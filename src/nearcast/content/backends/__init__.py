"""Where an origin's files really are: a folder, a web server, an object store. Nearcast reads there and never writes.

    address.py    what an operator typed, without secrets        objects.py   S3, GCS, Azure, HTTP, through obstore
    base.py       what can be asked of every backend             folder.py    a folder
    hashing.py    an object's leaves, nothing of it kept         tree.py      keys become folders
    adding.py     all of a backend becomes a root                checking.py  what is not as it was
    index.py      which block is where, kept on disk

Nothing of an address (host, bucket, prefix, path) may leave this machine. So errors that name them are for the
operator's own terminal; whoever serves strangers translates them (delivery/backend_source.py).
"""
