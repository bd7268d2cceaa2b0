// A Nostr relay on loopback that speaks first: npm @nostr-relay/core sends ["AUTH", challenge] on connect, before anything else.
// Prints its URL as the first line, runs until SIGTERM or SIGINT.
// Needs Node >= 22 (on 20 the SQLite binary crashes). Its client's AUTH must name the host DOMAIN in the relay tag. Live events are
// not matched with tag filters: all of the kinds and authors come; a deletion is obeyed but neither kept nor
// told on to anybody; events that expire are still served; 100 events without a limit.
// ENV (defaults): PORT=7778 (0 = any)  REQUIRE_AUTH=none|read|write|both (NIP-42 demanded; none = the challenge may be ignored)
//   DOMAIN=127.0.0.1  DB=:memory:  LOG=1 (each frame as a JSON line {client, dir, frame})
if (Number(process.versions.node.split('.')[0]) < 22) { console.error('needs Node >= 22, this is ' + process.version); process.exit(2) }
const { NostrRelay } = require('@nostr-relay/core')
const { Validator } = require('@nostr-relay/validator')
const { EventRepositorySqlite } = require('@nostr-relay/event-repository-sqlite')
const { WebSocketServer } = require('ws')
const E = process.env, DOMAIN = E.DOMAIN || '127.0.0.1', need = E.REQUIRE_AUTH || 'none'
const must = { EVENT: need === 'write' || need === 'both', REQ: need === 'read' || need === 'both' }
let clients = 0

async function main () {
  const repo = new EventRepositorySqlite(E.DB || ':memory:')
  await repo.init()
  const relay = new NostrRelay(repo, { hostname: DOMAIN }), validator = new Validator()
  const wss = new WebSocketServer({ port: Number(E.PORT ?? 7778), host: '127.0.0.1' })
  wss.on('connection', ws => {
    const client = ++clients
    const log = (dir, frame) => { if (E.LOG) console.log(JSON.stringify({ client, dir, frame })) }
    const send = ws.send.bind(ws)
    ws.send = (data, ...rest) => { log('out', String(data)); send(data, ...rest) }
    relay.handleConnection(ws)
    ws.on('message', async data => {
      log('in', String(data))
      try {
        const m = await validator.validateIncomingMessage(data)
        if (must[m[0]] && !relay.isAuthorized(ws)) {
          const why = 'auth-required: sign the challenge first'
          return ws.send(JSON.stringify(m[0] === 'EVENT' ? ['OK', m[1].id, false, why] : ['CLOSED', m[1], why]))
        }
        await relay.handleMessage(ws, m)
      } catch (e) { ws.send(JSON.stringify(['NOTICE', String(e.message).slice(0, 120)])) }
    })
    ws.on('close', () => relay.handleDisconnect(ws))
    ws.on('error', () => {})
  })
  wss.on('listening', () => console.log(`ws://${DOMAIN}:${wss.address().port}`))
  const stop = async () => { wss.close(); for (const c of wss.clients) c.terminate(); await relay.destroy(); process.exit(0) }
  process.on('SIGTERM', stop); process.on('SIGINT', stop)
}
main()
