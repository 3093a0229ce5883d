"""`nearcast up`: the node in the foreground, with everything it holds, until Ctrl-C or SIGTERM."""

from typing import TYPE_CHECKING, Any

import typer

from nearcast.cli import options
from nearcast.cli.money_options import MoneyCall, earning
from nearcast.cli.options import FetchPolicy, Http, NoLan, Peers, Quic, Quota, Relay, command

if TYPE_CHECKING:
    from nearcast.config import Config
    from nearcast.node import Node


def register(app: typer.Typer) -> None:
    @command(app, "up", preparing=earning)
    def up(
        call: MoneyCall,
        http: Http = None,
        quic: Quic = None,
        quota: Quota = None,
        relay: Relay = None,
        peers: Peers = None,
        no_lan: NoLan = False,
        fetch: FetchPolicy = None,
    ) -> None:
        """Run this node: serve all that is in its store until Ctrl-C.

        With --price it is paid for every byte: by whoever asks for content, through a channel on the chain. While it
        runs, other commands with the same --data-dir ask it to do their work.
        """
        import uvloop

        flags = options.settings(
            http=http, quic=quic, quota=quota, relay=relay, peers=peers, no_lan=no_lan, fetch=fetch
        )
        uvloop.run(_up(call, call.config(flags)))


async def _up(call: MoneyCall, config: "Config") -> None:
    from nearcast.cli.serving import serving, stop_signals, until_stopped
    from nearcast.node.money_wish import MoneyWish

    wish = MoneyWish(config, call.wallet(config, may_ask=False))
    async with serving(call.output, config, wish) as (node, log):
        with stop_signals() as stopped:
            _print(call, node)
            await until_stopped(log, stopped)


def _print(call: MoneyCall, node: "Node") -> None:
    from nearcast.cli.amounts import bytes_text, count_text
    from nearcast.cli.earning_lines import earning_fields, earning_lines
    from nearcast.overlay.peers import format_peer

    usage, peer = node.store.usage(), format_peer(node.address)
    over_http = node.config.payments.http
    lines = ["", f"  Node          {node.identity.endpoint_id.hex()}", f"  Peer address  {peer}"]
    lines += [f"  This machine  {node.http_url}/"] if node.http_url else []
    lines += [f"  Same network  {url}/" for url in node.lan_http_urls]
    lines += [f"  Store         {node.config.data_dir}   {count_text(usage.objects, 'object')}, "]
    lines[-1] += bytes_text(usage.held_bytes + usage.cached_bytes)
    lines += earning_lines(node.money, over_http=over_http)
    ready: dict[str, Any] = {"event": "ready", "id": node.identity.endpoint_id.hex(), "peer": peer}
    ready |= {"url": node.http_url, "lan_urls": list(node.lan_http_urls), "data_dir": str(node.config.data_dir)}
    ready |= earning_fields(node.money, over_http=over_http)
    call.output.result(ready, lines=[*lines, "", "  Ctrl-C stops.", ""], essential=[peer])
