// Buys pages with x402's own client (@x402/fetch, @x402/evm, viem), as its documents say. Takes a wish on stdin:
// {"url", "key", "network", "asset", "price", "pages", "rpc"?, "refund"?, "headers"?}; says what came of it.
import { createHash } from "node:crypto";
import { decodePaymentResponseHeader, wrapFetchWithPayment, x402Client } from "@x402/fetch";
import { toClientEvmSigner } from "@x402/evm";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";
import { createPublicClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const wish = JSON.parse(Buffer.concat(chunks).toString());

const account = privateKeyToAccount(wish.key);
const reader = wish.rpc ? createPublicClient({ transport: http(wish.rpc) }) : undefined;
const scheme = new BatchSettlementEvmScheme(toClientEvmSigner(account, reader));
const client = new x402Client().register(wish.network, scheme);
client.setSpendControls({ allowedAssets: [{ network: wish.network, asset: wish.asset, maxAmountPerPayment: wish.price }] });
const pay = wrapFetchWithPayment(fetch, client);

const pages = [];
for (let number = 0; number < wish.pages; number++) {
  const response = await pay(wish.url, { headers: wish.headers?.[number] ?? {} });
  const header = response.headers.get("PAYMENT-RESPONSE");
  const bytes = Buffer.from(await response.arrayBuffer());
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const receipt = header ? decodePaymentResponseHeader(header) : null;
  pages.push({ status: response.status, text: bytes.length < 1000 ? bytes.toString() : "", sha256, receipt });
}
const refund = wish.refund ? await scheme.refund(wish.url) : null;
console.log(JSON.stringify({ payer: account.address, pages, refund }));
