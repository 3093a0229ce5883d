"""`nearcast channel`: money set aside for one receiver, spent by vouchers off the chain."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearcast.cli.chain_options import ChainCall, group, looking, sending
from nearcast.cli.hexwords import address_text, hash_text, parse_address
from nearcast.cli.moments import due_text, duration_text, parse_duration_s
from nearcast.cli.money import parse_usdc_units, usdc_text
from nearcast.cli.options import command

if TYPE_CHECKING:
    from nearcast.cli.channel_states import ChannelState

Receiver = Annotated[str, typer.Argument(metavar="RECEIVER", help="Who is paid: a node's operator, or any address.")]
Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="How much, in USDC: 5, 0.25.")]
Part = Annotated[str | None, typer.Argument(metavar="[AMOUNT]", help="How much, in USDC; else all that is left.")]
ChannelName = Annotated[
    str, typer.Argument(metavar="CHANNEL", help="Its id, or as much of its beginning as tells it from your others.")
]
Authorizer = Annotated[
    str | None,
    typer.Option("--authorizer", metavar="ADDRESS", help="Who may claim for RECEIVER; else the node's hot key."),
]
Delay = Annotated[
    str, typer.Option("--delay", metavar="TIME", help="How long a withdrawal waits for last claims: 15min to 30d.")
]
Recover = Annotated[
    bool, typer.Option("--recover", help="Search the whole chain for channels that this machine does not know.")
]


def register(app: typer.Typer) -> None:
    channels = group(app, "channel", "Pay one receiver: open a channel, fund it, see what is left, take it back.")

    @command(channels, "open", preparing=sending)
    def open_channel(
        call: ChainCall, receiver: Receiver, amount: Amount, authorizer: Authorizer = None, delay: Delay = "1d"
    ) -> None:
        """Open a channel to RECEIVER and pay AMOUNT into it."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.channel_deposits import open_and_deposit

        units = parse_usdc_units(amount)
        receiver_address = parse_address(receiver, "RECEIVER")
        authorizer_address = parse_address(authorizer, "--authorizer") if authorizer else None
        delay_s = parse_duration_s(delay, "--delay")
        run_session(
            call, lambda session: open_and_deposit(session, receiver_address, authorizer_address, delay_s, units)
        )

    @command(channels, "list", preparing=looking)
    def list_channels(call: ChainCall, recover: Recover = False) -> None:
        """List the wallet's channels: what is left in each, and to whom it pays."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.channel_states import own_states

        states = run_session(call, lambda session: own_states(session, recover=recover))
        value = {"channels": [_value(state) for state in states]}
        lines = [_line(state) for state in states] or ["no channels yet"]
        call.output.result(value, lines=lines, essential=[hash_text(state.channel_id) for state in states])

    @command(channels, "show", preparing=looking)
    def show(call: ChainCall, channel: ChannelName) -> None:
        """Show one channel: its money, its terms, and a withdrawal that is under way."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.channel_states import one_state

        state = run_session(call, lambda session: one_state(session, channel))
        call.output.result(_value(state), lines=_details(state), essential=[usdc_text(state.left_units)])

    @command(channels, "top-up", preparing=sending)
    def top_up(call: ChainCall, channel: ChannelName, amount: Amount) -> None:
        """Pay AMOUNT more into a channel."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.channel_deposits import deposit_more

        units = parse_usdc_units(amount)
        run_session(call, lambda session: deposit_more(session, channel, units))

    @command(channels, "withdraw", preparing=sending)
    def withdraw(call: ChainCall, channel: ChannelName, amount: Part = None) -> None:
        """Take money back out of a channel: ask for it, and when the delay has passed run it again to get it.

        Until then the receiver can still claim what vouchers promised it.
        """
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.channel_withdrawals import withdraw_from

        units = parse_usdc_units(amount) if amount is not None else None
        run_session(call, lambda session: withdraw_from(session, channel, units))


def _value(state: "ChannelState") -> dict[str, Any]:
    config = state.config
    return {
        "channel": hash_text(state.channel_id),
        "receiver": address_text(config.receiver),
        "authorizer": address_text(config.receiver_authorizer),
        "balance_units": state.balance_units,
        "claimed_units": state.claimed_units,
        "signed_units": state.signed_units,
        "left_units": state.left_units,
        "delay_s": config.withdraw_delay_s,
        "withdrawing_units": state.withdrawing_units,
        "withdrawable_at": state.withdrawable_at_s,
        "config": config.as_json(),
    }


def _line(state: "ChannelState") -> str:
    leaving = f"  withdrawing {usdc_text(state.withdrawing_units)}" if state.withdrawable_at_s else ""
    identifier = hash_text(state.channel_id)[:18]
    return f"{identifier}…  {usdc_text(state.left_units):>18} left  to {address_text(state.config.receiver)}{leaving}"


def _details(state: "ChannelState") -> list[str]:
    config = state.config
    rows = [
        ("Channel", hash_text(state.channel_id)),
        ("Receiver", address_text(config.receiver)),
        ("Claims by", address_text(config.receiver_authorizer)),
        ("Paid in", usdc_text(state.balance_units)),
        ("Claimed", usdc_text(state.claimed_units)),
        ("Promised", f"{usdc_text(state.signed_units)} in all, by vouchers of this machine"),
        ("Left", usdc_text(state.left_units)),
        ("Delay", f"{duration_text(config.withdraw_delay_s)} between asking for money and getting it"),
    ]
    if state.withdrawable_at_s:
        due = due_text(state.withdrawable_at_s, state.now_s)
        rows.append(("Leaving", f"{usdc_text(state.withdrawing_units)}, due {due}"))
    return [f"  {name:<9}  {value}" for name, value in rows]
