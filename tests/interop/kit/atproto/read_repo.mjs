// Reads a repo as anybody may, by the reference libraries: who a DID is, all of its repo, and each record by itself, verified.
//   node read_repo.mjs PLC_URL DID        prints {handle, pds, records: {path: record}}; ends with 1 and says why not
import { IdResolver } from '@atproto/identity'
import { readCarWithRoot, verifyRecords, verifyRepoCar } from '@atproto/repo'

const [plcUrl, did] = process.argv.slice(2)
const who = await new IdResolver({ plcUrl, fetch: globalThis.fetch }).did.resolveAtprotoData(did, true)
const ask = async (method, params) => {
  const res = await fetch(`${who.pds}/xrpc/${method}?${new URLSearchParams({ did, ...params })}`)
  if (!res.ok) throw new Error(`${method}: ${res.status} ${await res.text()}`)
  return new Uint8Array(await res.arrayBuffer())
}
const car = await ask('com.atproto.sync.getRepo')
const repo = await verifyRepoCar(car, did, who.signingKey)
const { root } = await readCarWithRoot(car)
const records = {}
for (const { collection, rkey, cid } of repo.creates) {
  const proof = await ask('com.atproto.sync.getRecord', { collection, rkey })
  const found = (await verifyRecords(proof, did, who.signingKey)).find((r) => r.collection === collection && r.rkey === rkey)
  if (!found) throw new Error(`${collection}/${rkey} is not proved`)
  records[`${collection}/${rkey}`] = { cid: cid.toString(), text: found.record.text ?? null }
}
const latest = JSON.parse(new TextDecoder().decode(await ask('com.atproto.sync.getLatestCommit')))
if (latest.cid !== root.toString()) throw new Error(`the repo is at ${root}, and is said to be at ${latest.cid}`)
console.log(JSON.stringify({ handle: who.handle, pds: who.pds, records }))
