"""The keys that commands of the chain sign with: the wallet, and the node's hot key beside its identity.

wallet.json    the wallet: pays, owns the bond; behind a password, needed for transactions only
hot.key        signs the node's offers and claims while it serves; can be replaced, owns nothing
identity.key   the endpoint's ed25519 key, by which others connect
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from nearcast.cli.chain_options import ChainCall
from nearcast.errors import WalletError

if TYPE_CHECKING:
    from nearcast.chain.signing import Signer

DEV_NETWORK = "dev"
SCRYPT_N_WITHOUT_PASSWORD = 2  # the least there is: an empty password protects nothing, so nobody waits for it


def open_wallet(call: ChainCall) -> "Signer":
    """The wallet's key. WalletError as `open_keystore` raises it, and for one without a password off the dev chain."""
    from nearcast.chain.keystore import keystore_address, open_keystore
    from nearcast.cli.passwords import password_to_open

    path = call.config.wallet_file
    keystore_address(path)  # whatever is wrong with the file, it is said before a password is asked for
    if not has_no_password(path):
        return open_keystore(path, password_to_open(call))
    if call.config.chain.network != DEV_NETWORK:
        raise WalletError(
            f"the wallet {path} has no password, which only the dev chain's may lack",
            fix="make another: nearcast wallet create --wallet FILE",
        )
    return open_keystore(path, "")


def has_no_password(path: Path) -> bool:
    """Whether `wallet create --no-password` made it. False for a file that cannot be read as a keystore."""
    try:
        return bool(json.loads(path.read_bytes())["crypto"]["kdfparams"]["n"] == SCRYPT_N_WITHOUT_PASSWORD)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def hot_key_file(call: ChainCall) -> Path:
    """Where this node's hot key is."""
    from nearcast.chain.hot_key import HOT_KEY_FILE

    return call.config.data_dir / HOT_KEY_FILE
