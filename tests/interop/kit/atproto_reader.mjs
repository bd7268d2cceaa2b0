// Reads a PDS whole, as the reference libraries do: its firehose from the beginning, each repository, each record.
//   node atproto_reader.mjs http://127.0.0.1:PORT LAST      LAST is the number of the newest event
// Prints one JSON object: counts of what was verified, and `faults`.
import { cborDecodeMulti } from '@atproto/common'
import { IdResolver } from '@atproto/identity'
import { MemoryBlockstore, MST, readCarWithRoot, verifyProofs, verifyRepo } from '@atproto/repo'
import { Firehose } from '@atproto/sync'
import WebSocket from 'ws'

const [base, lastText] = process.argv.slice(2)
const last = Number(lastText)
const stream = base.replace(/^http/, 'ws')
// its own fetch goes nowhere inside: tests are what the other is meant for
const ids = new IdResolver({ plcUrl: base, fetch })
const faults = []
const counts = { events: 0, commits: 0, ops: 0, inverted: 0, created: 0, updated: 0, deleted: 0, authenticated: 0,
  repos: 0, records: 0, proofs: 0, absences: 0 }
const heads = new Map() // did -> {rev, data}, as the chain of commits has it
const replayed = new Map() // did -> Map(path -> cid), as the authenticated stream has it
const gone = new Map() // did -> paths that were deleted and do not stand

// The frames as they are: numbers, chains, and each commit taken back to the tree before it.
const frames = await new Promise((resolve, reject) => {
  const found = []
  const socket = new WebSocket(`${stream}/xrpc/com.atproto.sync.subscribeRepos?cursor=0`)
  socket.on('error', reject)
  socket.on('message', (data) => {
    const [header, body] = cborDecodeMulti(new Uint8Array(data))
    found.push([header, body])
    if (body.seq >= last) { socket.close(); resolve(found) }
  })
})
for (const [header, body] of frames) {
  counts.events += 1
  if (body.seq !== counts.events) faults.push(`event ${counts.events} has the number ${body.seq}`)
  if (header.op !== 1) faults.push(`event ${body.seq} is an error`)
  if (header.t === '#commit') await commit(body)
}

async function commit(body) {
  counts.commits += 1
  const say = (what) => faults.push(`${body.repo} at ${body.rev}: ${what}`)
  const car = await readCarWithRoot(body.blocks)
  if (!car.root.equals(body.commit)) say('another root')
  const blocks = new MemoryBlockstore(car.blocks)
  const made = await blocks.readRecord(car.root)
  const before = heads.get(body.repo)
  heads.set(body.repo, { rev: made.rev, data: made.data, cid: car.root })
  if (made.did !== body.repo || made.rev !== body.rev) say('the commit says otherwise')
  if ((body.since ?? null) !== (before?.rev ?? null)) say(`follows ${body.since}, not ${before?.rev}`)
  if (before && !(made.rev > before.rev)) say('no later rev')
  if (String(body.prevData ?? '') !== String(before?.data ?? '')) say('another tree before')
  let tree = MST.load(blocks, made.data)
  for (const op of [...body.ops].reverse()) {
    counts.ops += 1
    counts[`${op.action}d`] += 1
    if ((op.action === 'create') !== !op.prev) say(`${op.action} with prev ${op.prev}`)
    if (op.action === 'create') tree = await tree.delete(op.path)
    else if (op.action === 'update') tree = await tree.update(op.path, op.prev)
    else tree = await tree.add(op.path, op.prev)
  }
  if (before && !(await tree.getPointer()).equals(before.data)) say('does not invert')
  else counts.inverted += 1
}

// The same as an application reads it: every signature against the key in the directory, every op against its proof.
const lastOp = frames.filter(([h, b]) => h.t !== '#commit' || b.ops.length).at(-1)[1].seq
await new Promise((resolve, reject) => {
  const firehose = new Firehose({
    idResolver: ids,
    service: stream,
    getCursor: () => 0,
    unauthenticatedHandles: true, // names under .test are in no DNS
    onError: (error) => { faults.push(`${error.message}: ${error.cause?.message}`); reject(error) },
    handleEvent: (event) => {
      if (event.uri) {
        counts.authenticated += 1
        const repo = replayed.get(event.did) ?? new Map()
        const path = `${event.collection}/${event.rkey}`
        replayed.set(event.did, repo)
        if (event.event === 'delete') {
          if (!repo.delete(path)) faults.push(`${event.uri} was deleted, and did not stand`)
          gone.set(event.did, [...(gone.get(event.did) ?? []), path])
        } else {
          if (repo.has(path) !== (event.event === 'update')) faults.push(`${event.uri}: ${event.event}`)
          repo.set(path, String(event.cid))
        }
      }
      if (event.seq >= lastOp) { resolve(); firehose.destroy() }
    },
  })
  firehose.start()
}).catch(() => {})

// Each repository as a file, each record with its proof, and proofs that what was deleted is not there.
const sync = async (name, query) => {
  const answer = await fetch(`${base}/xrpc/com.atproto.sync.${name}?${new URLSearchParams(query)}`)
  if (!answer.ok) throw new Error(`${name} ${JSON.stringify(query)}: ${answer.status}`)
  return answer
}
const { repos } = await (await sync('listRepos', { limit: '1000' })).json()
for (const { did, head, rev } of repos) {
  counts.repos += 1
  const key = await ids.did.resolveAtprotoKey(did, true)
  const car = await readCarWithRoot(new Uint8Array(await (await sync('getRepo', { did })).arrayBuffer()))
  const repo = await verifyRepo(car.blocks, car.root, did, key)
  const stands = heads.get(did)
  if (rev !== stands?.rev || rev !== repo.commit.rev || head !== String(stands?.cid) || head !== String(car.root)) {
    faults.push(`${did} is listed at ${rev}, was told to stand at ${stands?.rev}, and is served at ${repo.commit.rev}`)
  }
  const told = replayed.get(did) ?? new Map()
  const held = new Map(repo.creates.map((each) => [`${each.collection}/${each.rkey}`, String(each.cid)]))
  counts.records += held.size
  if (held.size !== told.size || [...held].some(([path, cid]) => told.get(path) !== cid)) {
    faults.push(`${did} holds ${held.size} records, ${told.size} were told of`)
  }
  const claims = [...repo.creates.map(({ collection, rkey, cid }) => ({ collection, rkey, cid })),
    ...(gone.get(did) ?? []).filter((path) => !held.has(path)).map((path) => {
      const [collection, rkey] = path.split('/')
      return { collection, rkey, cid: null }
    })]
  for (const claim of claims) {
    const { collection, rkey } = claim
    const proof = new Uint8Array(await (await sync('getRecord', { did, collection, rkey })).arrayBuffer())
    const { verified } = await verifyProofs(proof, [claim], did, key)
    if (verified.length !== 1) faults.push(`${did}/${collection}/${rkey} is not proved`)
    else counts[claim.cid ? 'proofs' : 'absences'] += 1
  }
}
console.log(JSON.stringify({ counts, faults }))
process.exit(0)
