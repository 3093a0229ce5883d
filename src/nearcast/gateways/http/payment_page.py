"""The page that a browser shows for 402: what it costs, how to pay, and how to read it for nothing."""

from html import escape
from shlex import quote

from nearcast.gateways.http.page import page, size_text
from nearcast.payments.credit import cost_units

HEADLINE = "This node asks for payment"
_UNITS_PER_USDC = 10**6


def payment_page(path: str, size_bytes: int, price_units_per_gib: int) -> str:
    """A whole page about one request; `path` is /ipfs/CID, perhaps with names behind it."""
    content = escape(quote(path.removeprefix("/ipfs/").rstrip("/")))
    cost = usdc_text(cost_units(size_bytes, price_units_per_gib))
    price = usdc_text(price_units_per_gib)
    body = f"""<main class="error">
<p class="status">402</p>
<h1>{escape(HEADLINE)}</h1>
<p class="reason">{escape(size_text(size_bytes))} cost {escape(cost)} here ({escape(price)} per GiB). A browser has
no wallet, so it cannot pay.</p>
<h2>Read it for nothing</h2>
<p>The bytes are the same wherever they come from: their name is the hash of them. A Nearcast node of your own asks
everybody who has them, and takes them where they are free:</p>
<pre>nearcast get --free {content}</pre>
<h2>Pay for it</h2>
<p>With a wallet, the same node pays as the bytes arrive, and only for bytes that are right:</p>
<pre>nearcast get {content}</pre>
<p>Programs with an x402 client (<code>x402</code> for Python, <code>@x402/fetch</code> for JavaScript) can ask this
very address; a range costs only its bytes.</p>
</main>"""
    return page(f"402 {HEADLINE}", body)


def usdc_text(units: int) -> str:
    """`0.01 USDC`, `0.000003 USDC`: at least cents, and never rounded."""
    whole, rest = divmod(units, _UNITS_PER_USDC)
    return f"{whole:,}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')} USDC"
