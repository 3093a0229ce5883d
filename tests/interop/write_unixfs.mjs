// ipfs-unixfs-importer (JS) makes DAGs out of files and folders on disk, and writes them into CAR files.
//
// stdin: [{path, car?, profile?, chunkBytes?, chunker?, layout?, width?, repeat?, leaves?, leafType?, cidVersion?,
//          fanoutBits?, shardAboveBytes?, fieldOrder?, mode?, mtime?}]
// stdout: [{cid, kind}], one for each, with the UnixFS type of the root or 'raw'. Without `car` the blocks are hashed and forgotten.
import fs from 'node:fs'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { CarWriter } from '@ipld/car'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize, rabin } from 'ipfs-unixfs-importer/chunker'
import { balanced, trickle } from 'ipfs-unixfs-importer/layout'
import { Readable } from 'node:stream'

const READ_BYTES = 1 << 20

class Blocks {
  constructor (keep) {
    this.keep = keep
    this.byName = new Map()
  }

  put (cid, bytes) {
    if (this.keep) this.byName.set(cid.toString(), { cid, bytes })
    return cid
  }
}

function * candidates (place, name, metadata) {
  const stat = fs.lstatSync(place)
  if (stat.isSymbolicLink()) {
    yield { path: name, link: fs.readlinkSync(place) }
  } else if (stat.isDirectory()) {
    yield { path: name, ...metadata }
    for (const entry of fs.readdirSync(place)) yield * candidates(path.join(place, entry), `${name}/${entry}`, metadata)
  } else {
    yield { path: name, content: content(place), ...metadata }
  }
}

async function * content (place) { // a generator, so that a file is not opened before its turn
  yield * fs.createReadStream(place, { highWaterMark: READ_BYTES })
}

function settings (job) {
  const options = { profile: job.profile }
  if (job.chunkBytes) options.chunker = fixedSize({ chunkSize: job.chunkBytes })
  if (job.chunker === 'rabin') options.chunker = rabin({ avgChunkSize: job.chunkBytes })
  const shape = { maxChildrenPerNode: job.width, layerRepeat: job.repeat }
  if (job.layout) options.layout = job.layout === 'trickle' ? trickle(shape) : balanced(shape)
  if (job.leaves) options.rawLeaves = job.leaves === 'raw'
  const same = ['leafType', 'cidVersion', 'fieldOrder']
  for (const key of same) if (job[key] !== undefined) options[key] = job[key]
  if (job.fanoutBits) options.shardFanoutBits = job.fanoutBits
  if (job.shardAboveBytes !== undefined) options.shardSplitThresholdBytes = job.shardAboveBytes
  return options
}

async function run (job) {
  const blocks = new Blocks(Boolean(job.car))
  const metadata = {}
  if (job.mode !== undefined) metadata.mode = job.mode
  if (job.mtime !== undefined) metadata.mtime = { secs: BigInt(job.mtime), nsecs: 5 }
  let root
  let kind
  for await (const made of importer(candidates(job.path, path.basename(job.path), metadata), blocks, settings(job))) {
    root = made.cid // the last one is the outermost
    kind = made.unixfs?.type ?? 'raw'
  }
  if (job.car) {
    const { writer, out } = CarWriter.create([root])
    const written = new Promise((resolve, reject) => {
      Readable.from(out).pipe(fs.createWriteStream(job.car)).on('finish', resolve).on('error', reject)
    })
    for (const block of blocks.byName.values()) await writer.put(block)
    await writer.close()
    await written
  }
  return { cid: root.toString(), kind }
}

const results = []
for (const job of JSON.parse(await text(process.stdin))) results.push(await run(job))
console.log(JSON.stringify(results))
