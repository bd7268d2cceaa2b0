// A small ActivityPub peer on top of the npm package @fedify/fedify (>= 2, Node >= 22): Fedify does
// WebFinger, actor documents, HTTP signatures (RFC 9421 and draft-cavage, both ways), LD signatures,
// FEP-8b32 proofs, sharedInbox, NodeInfo, queue and retries. One actor, and a control API for tests.
//
//   PORT=18084 ORIGIN=https://fedify.test ACTOR=fay FIRST_KNOCK=rfc9421 node fedify_peer.mjs
//   ICON=https://...  the actor's picture     KIND=Group  the actor's type (Person)
//   PATIENT=1  retry a peer that is down every 3 s at most, without a circuit breaker
//
// Control (POST JSON to http://127.0.0.1:PORT/_ctl/NAME):
//   lookup {uri}              fetch and verify an object or acct: handle -> JSON-LD
//   follow {uri}              send Follow                      -> {id}
//   send   {activity, to}     sign and send any activity; to: [actor URIs] or "followers"
//   note   {note, to, mentions?}  store a Note at /notes/ID, send Create -> {id}
//   edit   {id, note, to}     store the Note anew, send Update -> {id}
//   remove {id, to}           forget the Note, send Delete of its Tombstone -> {id}
//   forget {actor}            no longer counts as followed, without a word to it
//   log    {}                 activities received, verified, as they were written, oldest first
//   state  {}                 {followers, following, notes}
// Fedify's own sending rewrites what it is given into the vocabulary it knows. As they are, signed by Fedify's signRequest, once, no retries:
//   deliver {activity, to}    to: [actor URIs and "followers"]  -> {INBOX: status}
//   serve  {path, doc}        a JSON-LD document of ours at that path; null takes it away
//   profile {fields}          lays these over the actor document -> the document
//   fetch  {url}              signed GET, by way of a page's link to its JSON-LD -> {url, document}
//   collection {url, limit?}  all pages, embedded items as they are -> {totalItems, items}
// By itself it accepts follows, answers a QuoteRequest (FEP-044f) for a served document as its interactionPolicy says, and counts
// votes on a served Question.
import { createServer } from 'node:http'
import { randomUUID } from 'node:crypto'
import { createExponentialBackoffPolicy, createFederation, generateCryptoKeyPair, InProcessMessageQueue, MemoryKvStore, signRequest } from '@fedify/fedify'
import * as V from '@fedify/fedify/vocab'
import { Temporal } from '@js-temporal/polyfill'

const { PORT = '18084', ORIGIN = 'https://fedify.test', ACTOR = 'fay', FIRST_KNOCK = 'rfc9421', AUTHORIZED_FETCH, ICON, PATIENT, KIND = 'Person' } = process.env
const log = [], notes = new Map(), pages = new Map(), voters = new Map(), followers = new Map(), following = new Map()
let profile = {}
const keys = [await generateCryptoKeyPair('RSASSA-PKCS1-v1_5'), await generateCryptoKeyPair('Ed25519')]

const kv = new MemoryKvStore(), CAVAGE = 'draft-cavage-http-signatures-12', RFC = 'rfc9421'
const PUBLIC = 'https://www.w3.org/ns/activitystreams#Public', AS2 = 'application/activity+json'
const many = x => x == null ? [] : Array.isArray(x) ? x : [x]
const ident = x => typeof x === 'object' ? x?.id : x
const fed = createFederation({
  kv, queue: new InProcessMessageQueue(), origin: ORIGIN,
  allowPrivateAddress: true,
  ...(PATIENT ? { circuitBreaker: false, outboxRetryPolicy: createExponentialBackoffPolicy({
    initialDelay: { seconds: 1 }, maxDelay: { seconds: 3 }, maxAttempts: 200 }) } : {}),
  firstKnock: FIRST_KNOCK === RFC ? RFC : CAVAGE
})

const authorize = actor => actor.authorize(async (ctx) => !AUTHORIZED_FETCH || (await ctx.getSignedKeyOwner()) != null)

authorize(fed.setActorDispatcher('/users/{identifier}', async (ctx, id) => {
  if (id !== ACTOR) return null
  const pairs = await ctx.getActorKeyPairs(id)
  const actor = new V[KIND]({
    id: ctx.getActorUri(id), preferredUsername: id, name: 'Fedify peer', summary: '<p>test peer</p>',
    icon: ICON ? new V.Image({ url: new URL(ICON), mediaType: 'image/png' }) : null,
    url: new URL(`/@${id}`, ORIGIN), published: Temporal.Now.instant(), manuallyApprovesFollowers: false, discoverable: true,
    inbox: ctx.getInboxUri(id), outbox: ctx.getOutboxUri(id), followers: ctx.getFollowersUri(id), following: ctx.getFollowingUri(id),
    endpoints: new V.Endpoints({ sharedInbox: ctx.getInboxUri() }),
    featured: new URL('/featured', ORIGIN),
    publicKey: pairs[0].cryptographicKey, assertionMethods: pairs.map(p => p.multikey)
  })
  return V[KIND].fromJsonLd({ ...(await actor.toJsonLd({ format: 'compact', contextLoader: ctx.contextLoader })), ...profile }, loaders(ctx))
}).setKeyPairsDispatcher(() => keys))

fed.setObjectDispatcher(V.Note, '/notes/{id}', (ctx, { id }) => notes.get(id) ?? null)
fed.setOutboxDispatcher('/users/{identifier}/outbox', () => ({ items: [] })).setCounter(() => notes.size)
fed.setFollowersDispatcher('/users/{identifier}/followers', () => ({ items: [...followers.values()] })).setCounter(() => followers.size)
fed.setFollowingDispatcher('/users/{identifier}/following', () => ({ items: [...following.values()].map(u => new URL(u)) })).setCounter(() => following.size)
fed.setNodeInfoDispatcher('/nodeinfo/2.1', () => ({
  software: { name: 'fedify-peer', version: '1.0.0' }, protocols: ['activitypub'],
  usage: { users: { total: 1 }, localPosts: notes.size, localComments: 0 }
}))

fed.setInboxListeners('/users/{identifier}/inbox', '/inbox')
  .setSharedKeyDispatcher(() => ({ identifier: ACTOR }))
  .on(V.Activity, async (ctx, act) => {
    const raw = await act.toJsonLd({ contextLoader: ctx.contextLoader })
    log.push(raw)
    if (act instanceof V.Follow) {
      const who = await act.getActor(ctx)
      if (!who?.id) return
      followers.set(who.id.href, { id: who.id, inboxId: who.inboxId, endpoints: who.endpoints })
      await ctx.sendActivity({ identifier: ACTOR }, who, new V.Accept({
        id: new URL(`/activities/${randomUUID()}`, ORIGIN), actor: ctx.getActorUri(ACTOR), object: act }))
    } else if (act instanceof V.Accept) {
      if (act.actorId && raw.object?.type !== 'QuoteRequest') following.set(act.actorId.href, act.actorId.href)
    } else if (act instanceof V.Reject) {
      if (act.actorId && raw.object?.type !== 'QuoteRequest') following.delete(act.actorId.href)
    } else if (act instanceof V.QuoteRequest) {
      await answerQuote(ctx, raw)
    } else if (act instanceof V.Create) {
      countVote(raw)
    } else if (act instanceof V.Undo) {
      if ((await act.getObject(ctx)) instanceof V.Follow && act.actorId) followers.delete(act.actorId.href)
    }
  })

const loaders = ctx => ({ documentLoader: ctx.documentLoader, contextLoader: ctx.contextLoader })
const targets = async (ctx, to) => to === 'followers' ? 'followers'
  : Promise.all(to.map(async u => (await (await ctxLookup(ctx, u)))))
const ctxLookup = async (ctx, uri) => {
  const got = await ctx.lookupObject(uri, { documentLoader: await ctx.getDocumentLoader({ identifier: ACTOR }) })
  if (!got) throw new Error('cannot resolve ' + uri)
  return got
}
const send = async (ctx, to, activity) => {
  const t = await targets(ctx, to)
  await ctx.sendActivity({ identifier: ACTOR }, t, activity, { preferSharedInbox: process.env.SHARED !== '0' })
}

const context = ['https://www.w3.org/ns/activitystreams', { QuoteRequest: 'https://w3id.org/fep/044f#QuoteRequest',
  QuoteAuthorization: 'https://w3id.org/fep/044f#QuoteAuthorization', gts: 'https://gotosocial.org/ns#',
  interactingObject: { '@id': 'gts:interactingObject', '@type': '@id' }, interactionTarget: { '@id': 'gts:interactionTarget', '@type': '@id' } }]
const answerQuote = async (ctx, request) => {
  const quoted = pages.get(new URL(ident(request.object)).pathname), me = ctx.getActorUri(ACTOR).href
  if (!quoted) return
  const allowed = many(quoted.interactionPolicy?.canQuote?.automaticApproval), yes = allowed.includes(PUBLIC) || allowed.includes(request.actor)
  const answer = { '@context': context, id: `${ORIGIN}/activities/${randomUUID()}`, type: yes ? 'Accept' : 'Reject', actor: me, to: request.actor,
    object: { type: 'QuoteRequest', id: request.id, actor: request.actor, object: ident(request.object), instrument: ident(request.instrument) } }
  if (yes) {
    const path = `/authorizations/${randomUUID()}`
    pages.set(path, { '@context': context, type: 'QuoteAuthorization', id: ORIGIN + path, attributedTo: me,
      interactingObject: ident(request.instrument), interactionTarget: ident(request.object) })
    answer.result = ORIGIN + path
  }
  await ctl.deliver(ctx, { activity: answer, to: [request.actor] })
}
const countVote = ({ actor, object: vote }) => {
  const at = typeof vote?.inReplyTo === 'string' && vote.name ? new URL(vote.inReplyTo) : null
  const question = at?.origin === ORIGIN ? pages.get(at.pathname) : null
  const option = many(question?.oneOf ?? question?.anyOf).find(o => o.name === vote.name)
  if (!option) return
  const who = voters.get(question.id) ?? voters.set(question.id, new Set()).get(question.id)
  option.replies.totalItems += 1
  question.votersCount = who.add(ident(actor)).size
}
const signed = async (ctx, url, init) => {
  // As Fedify's own sending does: what worked with that host, else the first knock, then the other.
  const [{ keyId, privateKey }] = await ctx.getActorKeyPairs(ACTOR), key = ['_fedify', 'httpMessageSignaturesSpec', new URL(url).origin]
  const first = (await kv.get(key)) ?? (FIRST_KNOCK === RFC ? RFC : CAVAGE)
  let r
  for (const spec of [first, first === RFC ? CAVAGE : RFC]) {
    r = await fetch(await signRequest(new Request(url, init), privateKey, keyId, { spec }))
    if (r.status !== 401) { await kv.set(key, spec); break }
  }
  return r
}
const read = async (ctx, url) => {
  const got = await (await ctx.getDocumentLoader({ identifier: ACTOR }))(url)
  return { url: got.documentUrl, document: got.document }
}

const ctl = {
  deliver: async (ctx, { activity, to }) => {
    const who = (await Promise.all(to.map(async u => u === 'followers' ? [...followers.values()] : [await ctxLookup(ctx, u)]))).flat()
    const inboxes = new Set(who.map(w => (w.endpoints?.sharedInbox ?? w.inboxId).href)), body = JSON.stringify(activity)
    return Object.fromEntries(await Promise.all([...inboxes].map(async inbox =>
      [inbox, (await signed(ctx, inbox, { method: 'POST', headers: { 'content-type': AS2 }, body })).status])))
  },
  serve: async (ctx, { path, doc }) => { if (doc) pages.set(path, doc); else pages.delete(path); return {} },
  profile: async (ctx, { fields }) => {
    profile = { ...profile, ...fields }
    return (await ctx.getActor(ACTOR)).toJsonLd({ format: 'compact', contextLoader: ctx.contextLoader })
  },
  fetch: async (ctx, { url }) => read(ctx, url),
  collection: async (ctx, { url, limit = 500 }) => {
    const items = [], { document } = await read(ctx, url), { totalItems } = document
    const load = async page => typeof page === 'string' ? (await read(ctx, page)).document : page
    for (let page = document.first ? await load(document.first) : document; page && items.length < limit; page = page.next && await load(page.next)) {
      items.push(...many(page.orderedItems ?? page.items))
    }
    return { totalItems, items: items.slice(0, limit) }
  },
  lookup: async (ctx, { uri }) => (await ctxLookup(ctx, uri)).toJsonLd({ format: 'compact' }),
  follow: async (ctx, { uri }) => {
    const who = await ctxLookup(ctx, uri)
    const id = new URL(`/activities/${randomUUID()}`, ORIGIN)
    await ctx.sendActivity({ identifier: ACTOR }, who, new V.Follow({ id, actor: ctx.getActorUri(ACTOR), object: who.id, to: who.id }))
    return { id, actor: who.id }
  },
  send: async (ctx, { activity, to }) => {
    const act = await V.Activity.fromJsonLd({ '@context': ['https://www.w3.org/ns/activitystreams', 'https://w3id.org/security/v1'],
      id: `${ORIGIN}/activities/${randomUUID()}`, actor: ctx.getActorUri(ACTOR).href, ...activity }, loaders(ctx))
    await send(ctx, to, act)
    return { id: act.id }
  },
  note: async (ctx, { note = {}, to, mentions = [] }) => {
    const id = randomUUID(), uri = new URL(`/notes/${id}`, ORIGIN), me = ctx.getActorUri(ACTOR)
    const who = await Promise.all(mentions.map(m => ctxLookup(ctx, m)))
    const obj = await V.Note.fromJsonLd({ '@context': ['https://www.w3.org/ns/activitystreams', { Hashtag: 'as:Hashtag' }], type: 'Note', id: uri.href, attributedTo: me.href,
      published: new Date().toISOString(), to: ['as:Public'], cc: [ctx.getFollowersUri(ACTOR).href, ...who.map(w => w.id.href)], url: uri.href,
      tag: who.map(w => ({ type: 'Mention', href: w.id.href, name: `@${w.preferredUsername}@${w.id.host}` })), ...note }, loaders(ctx))
    notes.set(id, obj)
    await send(ctx, to ?? 'followers', new V.Create({ id: new URL(`#create`, uri), actor: me, object: obj, tos: obj.toIds, ccs: obj.ccIds, published: obj.published }))
    return { id: uri }
  },
  edit: async (ctx, { id, note, to }) => {
    const me = ctx.getActorUri(ACTOR), key = new URL(id).pathname.split('/').pop()
    const old = await notes.get(key).toJsonLd({ format: 'compact' })
    const obj = await V.Note.fromJsonLd({ ...old, updated: new Date().toISOString(), ...note }, loaders(ctx))
    notes.set(key, obj)
    await send(ctx, to, new V.Update({ id: new URL(`#update-${randomUUID()}`, id), actor: me, object: obj, tos: obj.toIds, ccs: obj.ccIds }))
    return { id }
  },
  remove: async (ctx, { id, to }) => {
    const me = ctx.getActorUri(ACTOR), gone = new V.Tombstone({ id: new URL(id) })
    notes.delete(gone.id.pathname.split('/').pop())
    pages.delete(gone.id.pathname)
    await send(ctx, to, new V.Delete({ id: new URL('#delete', id), actor: me, object: gone, to: V.PUBLIC_COLLECTION }))
    return { id }
  },
  forget: async (ctx, { actor }) => ({ was: following.delete(actor) }),
  log: async () => log,
  state: async () => ({ followers: [...followers.keys()], following: [...following.keys()], notes: [...notes.keys()] })
}

fed.startQueue?.()
createServer(async (req, res) => {
  const chunks = []
  for await (const c of req) chunks.push(c)
  const body = Buffer.concat(chunks)
  const url = new URL(req.url, ORIGIN)
  try {
    const request = new Request(url, { method: req.method, headers: Object.entries(req.headers).map(([k, v]) => [k, String(v)]), body: body.length ? body : undefined })
    if (url.pathname.startsWith('/_ctl/')) {
      const fn = ctl[url.pathname.slice(6)]
      const out = fn ? await fn(fed.createContext(new Request(ORIGIN), undefined), body.length ? JSON.parse(body) : {}) : { error: 'unknown' }
      res.writeHead(fn ? 200 : 404, { 'content-type': 'application/json' })
      return res.end(JSON.stringify(out))
    }
    if (pages.has(url.pathname)) {
      res.writeHead(200, { 'content-type': AS2 })
      return res.end(JSON.stringify(pages.get(url.pathname)))
    }
    const r = await fed.fetch(request, { contextData: undefined })
    res.writeHead(r.status, Object.fromEntries(r.headers))
    res.end(Buffer.from(await r.arrayBuffer()))
  } catch (e) {
    console.error(e)
    res.writeHead(500, { 'content-type': 'application/json' })
    res.end(JSON.stringify({ error: String(e) }))
  }
}).listen(Number(PORT), '127.0.0.1', () => console.log('fedify peer', ORIGIN, 'on', PORT))
