// @helia/verified-fetch (JS) fetches from one trustless gateway and nobody else, verifying block by block.
//
// argument: the gateway's URL. stdin: [{resource, headers?, deadlineMs?, list?}]
// stdout: for each {status, type, size, sha256}, or {entries: [name]} for `list`, or {error}
import { createHash } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { withHTTP } from '@helia/http'
import { createVerifiedFetchWithHelia } from '@helia/verified-fetch'
import { createHeliaLight } from 'helia'
import { exporter } from 'ipfs-unixfs-exporter'
import { CID } from 'multiformats/cid'

const DEADLINE_MS = 30_000
const gateway = process.argv[2]
Promise.withResolvers ??= withResolvers // Helia calls it; Node has it from version 22 on

// Helia asks its routers in parallel, then the given gateways, and with no router at all it waits for ever.
const nobody = { name: 'nobody', async * findProviders () {} }
const helia = await withHTTP(createHeliaLight({ routers: [nobody] }), {
  delegatedRouters: [],
  recursiveGateways: [gateway],
  allowInsecure: true,
  allowLocal: true
}).start()
const verifiedFetch = await createVerifiedFetchWithHelia(helia)

function withResolvers () {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}

function deadline (milliseconds) { // unlike AbortSignal.timeout it keeps Node running until then
  const controller = new AbortController()
  setTimeout(() => controller.abort(new Error('the deadline has passed')), milliseconds)
  return controller.signal
}

async function get ({ resource, headers, deadlineMs }) {
  const response = await verifiedFetch(resource, { headers, signal: deadline(deadlineMs ?? DEADLINE_MS) })
  const body = Buffer.from(await response.arrayBuffer())
  const sha256 = createHash('sha256').update(body).digest('hex')
  return { status: response.status, type: response.headers.get('content-type'), size: body.length, sha256 }
}

async function list ({ resource }) {
  const entries = []
  const signal = deadline(DEADLINE_MS)
  const directory = await exporter(CID.parse(resource), helia.blockstore, { signal })
  for await (const entry of directory.entries({ signal })) entries.push(entry.name)
  return { entries }
}

const results = []
for (const wish of JSON.parse(await text(process.stdin))) {
  results.push(await (wish.list ? list(wish) : get(wish)).catch((error) => ({ error: String(error) })))
}
await helia.stop()
process.stdout.write(JSON.stringify(results), () => process.exit(0))
