// A trustless gateway of somebody else's making: Node's HTTP server over the blocks of a CAR file. It knows
// `/ipfs/CID?format=raw` (GET and HEAD), and nothing else: whoever wants a file must ask for its blocks and verify them.
//
// arguments: FILE.car [--lie, to flip a bit in every leaf]
// stdout: one line, {url}; then one line for each request, {method, url, status}. Ends with its stdin.
import fs from 'node:fs'
import http from 'node:http'
import { CarBlockIterator } from '@ipld/car'
import { MemoryBlockstore } from 'blockstore-core'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'

const PROBE = 'bafkqaaa' // the empty identity block, by which clients find out whether this is a gateway
const [file, lie] = process.argv.slice(2)
const store = new MemoryBlockstore()
for await (const { cid, bytes } of await CarBlockIterator.fromIterable(fs.createReadStream(file))) {
  if (lie && cid.code === raw.code && bytes.length > 0) bytes[bytes.length - 1] ^= 1
  await store.put(cid, bytes)
}

function find (request) {
  const url = new URL(request.url, 'http://localhost')
  const name = /^\/ipfs\/([^/]+)\/?$/.exec(url.pathname)?.[1]
  const accepted = (request.headers.accept ?? '').includes('application/vnd.ipld.raw')
  const format = url.searchParams.get('format') ?? (accepted ? 'raw' : undefined)
  if (name === undefined || format !== 'raw') return { status: 406 }
  if (name === PROBE) return { status: 200, name, bytes: new Uint8Array() }
  try {
    const cid = CID.parse(name)
    return store.has(cid) ? { status: 200, name, bytes: Buffer.concat([...store.get(cid)]) } : { status: 404 }
  } catch {
    return { status: 400 }
  }
}

const server = http.createServer((request, response) => {
  const { status, name, bytes } = find(request)
  console.log(JSON.stringify({ method: request.method, url: request.url, status }))
  if (status !== 200) {
    response.writeHead(status).end()
    return
  }
  response.writeHead(status, {
    'Content-Type': 'application/vnd.ipld.raw',
    'Content-Length': bytes.length,
    'Content-Disposition': `attachment; filename="${name}.bin"`,
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'public, max-age=29030400, immutable',
    Etag: `"${name}.raw"`
  })
  response.end(request.method === 'HEAD' ? undefined : bytes)
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })))
process.stdin.resume().on('end', () => process.exit(0))
