"""`nearcast id`: who this node is."""

import typer

from nearcast.cli.options import Call, command

IDENTITY_FILE = "identity.key"  # as node/assembly.py names it, which takes too long to import for this


def register(app: typer.Typer) -> None:
    @command(app, "id")
    def identity(call: Call) -> None:
        """Print this node's endpoint id: the public key that links and peers name it by."""
        from nearcast.keys import load_or_create_identity

        endpoint_id = load_or_create_identity(call.config().data_dir / IDENTITY_FILE).endpoint_id.hex()
        call.output.result({"id": endpoint_id}, lines=[endpoint_id], essential=[endpoint_id])
