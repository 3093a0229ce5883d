"""A client that writes down every signed offer that it accepts: `nearcast`, with an ear at the one place they pass.

python capturing_client.py get …     each offer is a line of the file in NEARCAST_TEST_OFFERS
"""

import json
import os

from nearcast.chain.offers import Offer
from nearcast.payments.channel_paying import ChannelPaying


def listen() -> None:
    check = ChannelPaying.check_offer

    def heard(self: ChannelPaying, root_digest: bytes, price: int, offer: Offer, signature: bytes) -> None:
        check(self, root_digest, price, offer, signature)
        fields = {**offer.as_fields(), "signature": signature}
        line = {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}
        with open(os.environ["NEARCAST_TEST_OFFERS"], "a") as file:
            file.write(json.dumps(line) + "\n")

    setattr(ChannelPaying, ChannelPaying.check_offer.__name__, heard)


if __name__ == "__main__":
    from nearcast.cli.main import main

    listen()
    main()
