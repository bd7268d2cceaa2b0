// Nostr users on npm nostr-tools, driven by JSON lines as nostr_user.py is: one request on standard input, one answer on standard output.
//   {op: 'id', key}                                             -> {public, npub}
//   {op: 'publish', key, relays, kind, content, tags, at?}      -> {event, ok: [URL], failed: {URL: why}}
//   {op: 'send', key?, relays, event}                           the same for an event that is ready, however wrong
//   {op: 'fetch', key?, relays, filter}                         -> [event], oldest first
//   {op: 'count', key?, relays, filter}                         -> {URL: number} (NIP-45)
//   {op: 'auth', key, relays}                                   AUTH unasked, answering the challenge sent on connect -> {URL: what it said}
//   {op: 'watch', key?, relays, filter}                         -> {watch}
//   {op: 'seen', watch}                                         -> {events, eose, closed: [{url, reason}]} so far, in order of arrival
//   {op: 'unwatch', watch}                                      -> {}
//   {op: 'dm', key, to, relays, text}                           NIP-17 gift wrap -> {event, ok, failed}
//   {op: 'dms', key, relays}                                    -> [{from, kind, content, tags, created_at, wrap}] that could be opened, oldest first
//   {op: 'nip05', name}                                         -> {pubkey, relays} or null
//   {op: 'info', url}                                           -> NIP-11 document
// A failure is {error}. KEY is hex or `seed:NAME` (sha256 of NAME); with one, an AUTH that is asked for is given. Ends with its standard input.
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { finalizeEvent, generateSecretKey, getPublicKey } from 'nostr-tools/pure'
import { SimplePool } from 'nostr-tools/pool'
import { npubEncode } from 'nostr-tools/nip19'
import * as nip05 from 'nostr-tools/nip05'
import * as nip11 from 'nostr-tools/nip11'
import * as nip17 from 'nostr-tools/nip17'
import { hexToBytes } from 'nostr-tools/utils'

const pools = new Map(), watches = []
const secret = key => !key ? generateSecretKey() : hexToBytes(key.startsWith('seed:') ? createHash('sha256').update(key.slice(5)).digest('hex') : key)
const pool = key => {
  if (!pools.has(key)) {
    const sk = secret(key), sign = async template => finalizeEvent(template, sk)
    pools.set(key, { sk, sign, pool: new SimplePool({ enableReconnect: true, automaticallyAuth: () => sign }) })
  }
  return pools.get(key)
}
const oldestFirst = (a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1)
const each = async (urls, ask) => Object.fromEntries(await Promise.all(urls.map(async url => [url, await ask(url)])))

const send = async ({ key = '', relays, event }) => {
  const { pool: p, sign } = pool(key), ok = [], failed = {}
  const said = await Promise.allSettled(p.publish(relays, event, { onauth: sign }))
  said.forEach((s, n) => { if (s.status === 'fulfilled') ok.push(relays[n]); else failed[relays[n]] = String(s.reason?.message ?? s.reason) })
  return { event, ok, failed }
}
const fetchEvents = async ({ key = '', relays, filter }) => {
  const { pool: p, sign } = pool(key)
  return (await p.querySync(relays, filter, { maxWait: 8000, onauth: sign })).sort(oldestFirst)
}

const ops = {
  id: ({ key }) => { const pk = getPublicKey(secret(key)); return { public: pk, npub: npubEncode(pk) } },
  publish: ({ key, relays, kind, content, tags = [], at }) =>
    send({ key, relays, event: finalizeEvent({ kind, content, tags, created_at: at ?? Math.floor(Date.now() / 1000) }, pool(key).sk) }),
  send,
  fetch: fetchEvents,
  count: ({ key = '', relays, filter }) => each(relays, async url => (await pool(key).pool.ensureRelay(url)).count([filter], {})),
  auth: ({ key, relays }) => each(relays, async url => (await pool(key).pool.ensureRelay(url)).auth(pool(key).sign)),
  watch: ({ key = '', relays, filter }) => {
    const seen = { events: [], eose: false, closed: [] }, { pool: p, sign } = pool(key)
    seen.sub = p.subscribe(relays, filter, { onauth: sign, onevent: e => seen.events.push(e), oneose: () => { seen.eose = true },
      onclose: why => seen.closed.push(...why) })
    return { watch: watches.push(seen) - 1 }
  },
  seen: ({ watch }) => { const { sub, ...seen } = watches[watch]; return seen },
  unwatch: ({ watch }) => { watches[watch].sub.close(); return {} },
  dm: ({ key, to, relays, text }) => send({ key, relays, event: nip17.wrapEvent(pool(key).sk, { publicKey: to }, text) }),
  dms: async ({ key, relays }) => {
    const { sk } = pool(key), letters = []
    for (const wrap of await fetchEvents({ key, relays, filter: { kinds: [1059], '#p': [getPublicKey(sk)] } })) {
      try {
        const { pubkey, kind, content, tags, created_at: at, id } = nip17.unwrapEvent(wrap, sk)
        letters.push({ from: pubkey, kind, content, tags, created_at: at, id, wrap: wrap.id })
      } catch { /* not for us, or not a letter */ }
    }
    return letters.sort(oldestFirst)
  },
  nip05: ({ name }) => nip05.queryProfile(name),
  info: ({ url }) => nip11.fetchRelayInformation(url)
}

for await (const line of createInterface({ input: process.stdin })) {
  let out
  try {
    const { op, ...request } = JSON.parse(line)
    if (!ops[op]) throw new Error('unknown op ' + op)
    out = await ops[op](request)
  } catch (e) { out = { error: String(e?.stack ?? e).split('\n').slice(0, 3).join(' ') } }
  console.log(JSON.stringify(out ?? null))
}
process.exit(0)
