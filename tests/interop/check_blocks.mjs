// Node's own fetch asks a gateway for single blocks; multiformats (JS) checks that each hashes to its name.
//
// argument: the gateway's URL. stdin: [cid]
// stdout: for each {status, type, length, size, verified, head: {status, length}}
import { text } from 'node:stream/consumers'
import { CID } from 'multiformats/cid'
import { equals } from 'multiformats/bytes'
import { sha256 } from 'multiformats/hashes/sha2'

const DEADLINE_MS = 10_000
const gateway = process.argv[2]

async function check (name) {
  const url = `${gateway}/ipfs/${name}?format=raw`
  const options = { headers: { Accept: 'application/vnd.ipld.raw' }, redirect: 'error' }
  const ask = (method) => fetch(url, { ...options, method, signal: AbortSignal.timeout(DEADLINE_MS) })
  const response = await ask('GET')
  const bytes = new Uint8Array(await response.arrayBuffer())
  const digest = await sha256.digest(bytes)
  const head = await ask('HEAD')
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    length: Number(response.headers.get('content-length')),
    size: bytes.length,
    verified: equals(digest.bytes, CID.parse(name).multihash.bytes),
    head: { status: head.status, length: Number(head.headers.get('content-length')) }
  }
}

const results = []
for (const name of JSON.parse(await text(process.stdin))) results.push(await check(name))
console.log(JSON.stringify(results))
