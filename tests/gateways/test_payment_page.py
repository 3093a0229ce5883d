"""402 as a person sees it, in Chromium, from what is another machine to the node; and its words."""

import os
import time
from pathlib import Path

import pytest
from playwright.async_api import async_playwright
from tests.chain.devchains import engine, running
from tests.gateways.selling import selling
from tests.gateways.suite import run
from tests.gateways.test_browser import ARGUMENTS, CHROMIUM

from nearcast.chain.devchain.node import DevChain
from nearcast.content.cid import raw_cid
from nearcast.gateways.http.payment_page import payment_page, usdc_text

PRICE = 10_000  # 0.01 USDC per GiB
SIZE_BYTES = 3 << 20


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)")
def test_a_browser_gets_a_page_that_says_what_it_costs(tmp_path: Path) -> None:
    film = tmp_path / "film.webm"
    film.write_bytes(os.urandom(SIZE_BYTES))
    chain = DevChain(engine(), time.time, None, automine=True)

    async def main() -> None:
        with running(chain) as rpc:
            async with selling(rpc.url, tmp_path, PRICE) as shop, async_playwright() as playwright:
                path = shop.share(film)
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                try:
                    for width, scheme in ((1000, "light"), (1000, "dark"), (360, "light")):
                        page = await browser.new_page(viewport={"width": width, "height": 700}, color_scheme=scheme)  # type: ignore[arg-type]
                        response = await page.goto(shop.url + path)
                        assert response is not None
                        assert response.status == 402
                        assert response.headers["cache-control"] == "no-store"
                        required = response.headers["payment-required"]
                        assert required
                        assert await page.inner_text("h1") == "This node asks for payment"
                        words = await page.inner_text("main")
                        assert "3.1 MB cost 0.00003 USDC here (0.01 USDC per GiB)" in words
                        assert f"nearcast get --free {path.removeprefix('/ipfs/')}" in words
                        assert await page.evaluate("document.documentElement.scrollWidth") <= width
                        if pictures := os.environ.get("NEARCAST_PICTURES"):
                            await page.screenshot(path=f"{pictures}/payment-{width}-{scheme}.png")
                    await page.goto("about:blank")  # a program in a page of another origin reads the price
                    told = await page.evaluate(
                        "async (url) => { const answer = await fetch(url);"
                        " return [answer.status, await answer.json(), answer.headers.get('payment-required')] }",
                        shop.url + path,
                    )
                    assert told[0] == 402
                    assert told[1]["accepts"][0]["amount"] == "30"
                    assert told[2] is not None
                finally:
                    await browser.close()

    try:
        run(main)
    finally:
        chain.close()


@pytest.mark.parametrize(
    ("units", "text"),
    [
        (0, "0.00 USDC"),
        (1, "0.000001 USDC"),
        (30, "0.00003 USDC"),
        (10_000, "0.01 USDC"),
        (1_500_000, "1.50 USDC"),
        (1_234_567_890_123, "1,234,567.890123 USDC"),
    ],
)
def test_money_is_never_rounded(units: int, text: str) -> None:
    assert usdc_text(units) == text


def test_the_page_is_whole() -> None:
    page = payment_page(f"/ipfs/{raw_cid(b'd' * 32)}/a b<script>/", 5 << 30, 10_000)
    assert "<script" not in page
    assert f"<pre>nearcast get &#x27;{raw_cid(b'd' * 32)}/a b&lt;script&gt;&#x27;</pre>" in page
    assert page.count("<main") == page.count("</main>") == 1
    assert "5.4 GB cost 0.05 USDC" in page
