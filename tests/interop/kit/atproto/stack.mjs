// The reference AT Protocol stack on loopback, in one process: PLC directory, PDS, AppView (with its bsync and data plane),
// from the npm packages of those who run Bluesky.       node --import ./loopback.mjs stack.mjs
// ENV: PLC_PORT PDS_PORT APPVIEW_PORT BSYNC_PORT DATAPLANE_PORT
//   PLC_URL            how everybody reaches the directory; without PLC_PORT it is one that somebody else runs
//   PDS_HOST           name of the PDS, reached by https; handles of its accounts end in it
//   DB_URL DB_SCHEMA REDIS_HOST   where the AppView keeps things
//   FIREHOSE           another PDS (wss://host) that the AppView reads beside its own
//   HANDLES            suffix=baseUrl: handles that end so are looked up at baseUrl, with the handle as Host
//   PDS_DATA           folder of the PDS
// Prints a JSON line when all is up. Commits are verified: what the AppView refuses is printed as `[refused URL] …`.
import fs from 'node:fs'
import path from 'node:path'
import { request } from 'undici'
import * as plcLib from '@did-plc/lib'
import { PlcServer, Database as PlcDb } from '@did-plc/server'
import { Secp256k1Keypair } from '@atproto/crypto'
import * as bsky from '@atproto/bsky'
import * as bsyncPkg from '@atproto/bsync'
import * as pdsPkg from '@atproto/pds'

const E = process.env
const port = (name) => Number(E[`${name}_PORT`])
const closers = []
const SUFFIX = `.${E.PDS_HOST}`
const [suffix, base] = E.HANDLES.split('=')
const routes = [[SUFFIX, `http://127.0.0.1:${port('PDS')}`], [suffix, base]]

// Nothing here has DNS: a handle is asked for at the server that its end leads to.
const leadHandles = (resolver) => {
  resolver.handle.resolve = async (handle) => {
    const route = routes.find(([end]) => handle.endsWith(end))
    if (!route) return undefined
    try {
      const res = await request(new URL('/.well-known/atproto-did', route[1]), { headers: { host: handle } })
      const body = await res.body.text()
      return res.statusCode === 200 ? body.trim() : undefined
    } catch (e) {
      console.error(`[handle ${handle}]`, e?.message)
      return undefined
    }
  }
}

if (E.PLC_PORT) {
  const plc = PlcServer.create({ db: PlcDb.mock(), port: port('PLC') })
  await plc.start()
  closers.push(() => plc.destroy())
}

// The AppView, known to the directory like everybody.
const url = `http://localhost:${port('APPVIEW')}`
const bsync = await bsyncPkg.BsyncService.create(bsyncPkg.envToCfg({
  port: port('BSYNC'), apiKeys: ['key'], dbUrl: E.DB_URL, dbSchema: `bsync_${E.DB_SCHEMA}`, dbPoolSize: 3 }))
await bsync.ctx.db.migrateToLatestOrThrow()
await bsync.start()
closers.push(() => bsync.destroy())
const key = await Secp256k1Keypair.create({ exportable: true })
const plcClient = new plcLib.Client(E.PLC_URL)
const appviewDid = await plcClient.createDid({ signingKey: key.did(), rotationKeys: [key.did()], handle: 'bsky.test', pds: url, signer: key })
await plcClient.updateData(appviewDid, key, (x) => {
  x.services['bsky_notif'] = { type: 'BskyNotificationService', endpoint: url }
  x.services['bsky_appview'] = { type: 'BskyAppView', endpoint: url }
  return x
})
const schema = `appview_${E.DB_SCHEMA}`
const db = new bsky.Database({ url: E.DB_URL, schema, poolSize: 10 })
const migrations = new bsky.Database({ url: E.DB_URL, schema })
await migrations.migrateToLatestOrThrow()
await migrations.close()
const dataplane = await bsky.DataPlaneServer.create(db, port('DATAPLANE'), E.PLC_URL, globalThis.fetch)
const config = new bsky.ServerConfig({
  version: 'unknown', port: port('APPVIEW'), didPlcUrl: E.PLC_URL, publicUrl: url, serverDid: appviewDid,
  alternateAudienceDids: [], dataplaneUrls: [`http://localhost:${port('DATAPLANE')}`], dataplaneHttpVersion: '1.1',
  bsyncHttpVersion: '1.1', bsyncUrl: `http://localhost:${port('BSYNC')}`, bsyncApiKey: 'key', redisHost: E.REDIS_HOST,
  modServiceDid: 'did:example:invalidMod', labelsFromIssuerDids: ['did:example:labeler'], bigThreadUris: new Set(),
  maxThreadParents: 50, disableSsrfProtection: true, searchTagsHide: new Set(), searchTagsHideAll: new Set(),
  threadTagsBumpDown: new Set(), threadTagsHide: new Set(), visibilityTagHide: '', visibilityTagRankPrefix: '',
  debugFieldAllowedDids: new Set(), draftsLimit: 500, feedGenSkeletonTimeout: 5000, dbPostgresSchema: schema,
  dbPostgresUrl: E.DB_URL, adminPasswords: ['admin'], etcdHosts: [],
})
const appview = bsky.BskyAppView.create({ config, signingKey: key })
leadHandles(appview.ctx.idResolver)
leadHandles(dataplane.idResolver)
const bsyncSub = new bsky.BsyncSubscription({ config, db })
await appview.start()
bsyncSub.start()
bsync.ctx.dataplaneClients = [appview.ctx.dataplane]
const subs = [`ws://localhost:${port('PDS')}`, E.FIREHOSE].map((service) => {
  const sub = new bsky.RepoSubscription({ service, db, idResolver: dataplane.idResolver })
  void sub.start().then(() => {
    const firehose = sub.current.firehose
    firehose.opts.unauthenticatedCommits = false
    const on = firehose.opts.onError
    firehose.opts.onError = (err) => {
      // a server that is not up yet is no refusal
      const gone = /ECONN|socket hang up|Unexpected server response: 50/.test(`${err?.message} ${err?.cause?.message} ${err?.cause?.code}`)
      console.error(`[${gone ? 'waiting for' : 'refused'} ${service}]`, err?.message, '<-', err?.cause?.message ?? err?.cause?.code ?? '')
      on(err)
    }
  })
  return sub
})
closers.push(async () => {
  await appview.destroy()
  await bsyncSub.destroy()
  await dataplane.destroy()
  for (const sub of subs) await sub.destroy()
  await db.close()
})

const rotation = await Secp256k1Keypair.create({ exportable: true })
fs.mkdirSync(path.join(E.PDS_DATA, 'blobs'), { recursive: true })
const pds = await pdsPkg.PDS.fromEnv({
  devMode: true, port: port('PDS'), hostname: E.PDS_HOST, dataDirectory: E.PDS_DATA, blobstoreDiskLocation: path.join(E.PDS_DATA, 'blobs'),
  recoveryDidKey: (await Secp256k1Keypair.create()).did(), adminPassword: 'admin', jwtSecret: 'jwt-secret',
  serviceHandleDomains: [SUFFIX], didPlcUrl: E.PLC_URL, bskyAppViewUrl: url, bskyAppViewDid: appviewDid,
  bskyAppViewCdnUrlPattern: 'http://cdn.invalid/%s/%s/%s', modServiceUrl: 'https://moderator.invalid', modServiceDid: 'did:example:invalid',
  plcRotationKeyK256PrivateKeyHex: Buffer.from(await rotation.export()).toString('hex'),
  inviteRequired: false, disableSsrfProtection: true, enableDidDocWithSession: true,
})
leadHandles(pds.ctx.idResolver)
await pds.start()
closers.push(() => pds.destroy())
console.log(JSON.stringify({ ready: true, appviewDid, rssMB: Math.round(process.memoryUsage().rss / 1e6) }))

let stopping = false
const stop = async () => {
  if (stopping) return
  stopping = true
  for (const close of closers.reverse()) {
    try { await close() } catch (e) { console.error(e) }
  }
  process.exit(0)
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
