"""`nearcast watchtower export`: the claim file, without asking the chain."""

from pathlib import Path
from typing import TYPE_CHECKING

from nearcast.cli.amounts import count_text
from nearcast.cli.keyring import hot_key_file
from nearcast.cli.ledger_tables import ledger_path
from nearcast.cli.money import usdc_text
from nearcast.errors import NotFoundError, WalletError

if TYPE_CHECKING:
    from nearcast.cli.chain_options import ChainCall


def export_claims(call: "ChainCall", file: Path) -> None:
    """Write the file. NotFoundError when no voucher is here, WalletError without the hot key that signs for others."""
    from nearcast.chain.deployment import deployment
    from nearcast.chain.hot_key import load_or_create_hot_key
    from nearcast.payments.claim_export import ClaimExport
    from nearcast.payments.earned import FILE_NAME, EarnedLedger
    from nearcast.payments.terms import terms_of

    path, key_file = ledger_path(call, FILE_NAME), hot_key_file(call)
    if not path.exists():
        raise NotFoundError("this node has earned nothing yet", fix="nearcast up --price USDC")
    if not key_file.exists():
        raise WalletError(f"the node's hot key {key_file} is not here, and only it can let others claim")
    with EarnedLedger.open(path) as ledger:
        channels = {each.channel_id: each for each in ledger.channels()}
        open_channels = [channels[each.channel_id] for each in ledger.pending()]
    hot = load_or_create_hot_key(key_file)
    receiver = open_channels[0].config.receiver if open_channels else hot.address
    settled = deployment(call.config.chain.network)
    count = ClaimExport(file, terms_of(settled, receiver, hot.address), hot).update(open_channels)
    units = sum(each.promise.units for each in open_channels if each.config.receiver_authorizer == hot.address)
    left_out = len(open_channels) - count
    lines = [f"{count_text(count, 'channel')} in {file}, vouchers over {usdc_text(units)}"]
    if left_out:
        lines.append(f"  {count_text(left_out, 'channel')} left out: another key than this node's signs their claims")
    value = {"file": str(file), "channels": count, "units": units, "left_out": left_out}
    call.output.result(value, lines=lines, essential=[str(file)])
