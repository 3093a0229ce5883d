// @ipld/car reads a CAR file, multiformats checks every block, ipfs-unixfs-exporter (all JS) unpacks the first root.
//
// arguments: FILE.car [DESTINATION, which must not exist]
// stdout: {roots, kind, blocks: [cid], order: 'dfs' | 'other'}, with the UnixFS type of the first root or 'raw'
import fs from 'node:fs'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CarBlockIterator } from '@ipld/car'
import * as dagPb from '@ipld/dag-pb'
import { exporter } from 'ipfs-unixfs-exporter'
import { sha256 } from 'multiformats/hashes/sha2'
import { identity } from 'multiformats/hashes/identity'
import { equals } from 'multiformats/bytes'

const [file, destination] = process.argv.slice(2)
const HASHES = { [sha256.code]: sha256, [identity.code]: identity }

const nameOf = (cid) => cid.toV1().toString()

async function read (file) {
  const reader = await CarBlockIterator.fromIterable(fs.createReadStream(file))
  const blocks = new Map()
  const names = []
  for await (const { cid, bytes } of reader) {
    const digest = await HASHES[cid.multihash.code].digest(bytes)
    if (!equals(digest.bytes, cid.multihash.bytes)) throw new Error(`the block of ${cid} does not hash to its name`)
    blocks.set(nameOf(cid), bytes)
    names.push(cid.toString())
  }
  return { roots: await reader.getRoots(), blocks, names }
}

function depthFirst (root, blocks) {
  const seen = new Set()
  const walk = (cid) => {
    const name = nameOf(cid)
    if (seen.has(name)) return
    seen.add(name)
    const bytes = blocks.get(name)
    if (bytes === undefined) throw new Error(`the block of ${cid} is missing`)
    if (cid.code === dagPb.code) for (const link of dagPb.decode(bytes).Links) walk(link.Hash)
  }
  walk(root)
  return [...seen]
}

async function unpack (cid, store, place) {
  const entry = await exporter(cid, store)
  const kind = kindOf(entry)
  if (kind === 'symlink') {
    fs.symlinkSync(new TextDecoder().decode(entry.unixfs.data), place)
  } else if (kind === 'directory' || kind === 'hamt-sharded-directory') {
    fs.mkdirSync(place)
    for await (const child of entry.entries()) await unpack(child.cid, store, path.join(place, child.name))
  } else {
    await pipeline(Readable.from(entry.content()), fs.createWriteStream(place, { flags: 'wx' }))
  }
}

const { roots, blocks, names } = await read(file)
const kindOf = (entry) => entry.unixfs?.type ?? entry.type
const store = { * get (cid) { yield blocks.get(nameOf(cid)) } }
if (destination) await unpack(roots[0], store, destination)
const expected = depthFirst(roots[0], blocks).join()
const order = names.join() === expected ? 'dfs' : 'other'
const kind = kindOf(await exporter(roots[0], store))
console.log(JSON.stringify({ roots: roots.map(String), kind, blocks: names, order }))
