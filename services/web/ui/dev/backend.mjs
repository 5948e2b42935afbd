// A backend without a pipeline, for work on the card: the HTTP contract over invented prices. Serves the built
// page too. PORT (8766), SCENARIO (mock, mixed, degraded, disconnected, stopped), SYMBOLS, SEED, TOKEN, TICKING (share
// of the symbols that change in each quarter of a second).
// POST /dev/scenario/NAME changes the scene while it runs. Not for production: it checks nothing.

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { candlesOf, Market } from './market.mjs'
import { previewOf, projectsOf, refusalOf, snapshotsOf } from './projects.mjs'
import { dress, linkHistory, planOf, qualityOf, statusOf } from './scenes.mjs'

const PORT = Number(process.env.PORT ?? 8766)
const STATIC = fileURLToPath(new URL('../../static', import.meta.url))
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
  '.md': 'text/markdown',
}

const started = Date.now()
const market = new Market({
  count: Number(process.env.SYMBOLS ?? 24),
  seed: Number(process.env.SEED ?? 7),
  ticking: Number(process.env.TICKING ?? 0.45),
})
const scene = { name: process.env.SCENARIO ?? 'mock', started }
dress(market, scene.name, started)
const clients = new Set()
const alerts = []
let eventId = 0

function send(client, event, data) {
  client.write(`id: ${++eventId}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
}

const GOOD_MS = 5_000

/** With the moment until which this backend stands by it. */
function vouched(value) {
  return value.stale ? value : { ...value, good_until: new Date(Date.now() + GOOD_MS).toISOString() }
}

const status = () => vouched(statusOf(market, scene, Date.now()))
const quotes = () => [...market.books.values()].map((book) => vouched(book.quote))
setInterval(() => {
  const flowing = !['stopped', 'disconnected'].includes(scene.name)
  const changed = flowing ? market.tick(Date.now(), (quote) => quote.source === 'mock' || !quote.still) : []
  for (const client of clients) if (changed.length > 0) send(client, 'quotes', changed.map(vouched))
}, 250)
setInterval(() => {
  for (const client of clients) send(client, 'quotes', quotes())
}, GOOD_MS / 2)
setInterval(() => {
  for (const client of clients) send(client, 'status', status())
}, 500)

setInterval(() => {
  for (const client of clients) {
    const pushed = client.candles.flatMap((name) => {
      const [interval, symbol] = name.split(/\.(.*)/)
      const book = market.books.get(symbol)
      return book ? candlesOf(book, interval, Date.now() - 60_000).slice(-2) : []
    })
    if (pushed.length > 0) send(client, 'candles', pushed)
  }
}, 1_000)

function setScene(name) {
  scene.name = name
  dress(market, name, Date.now(), started)
  for (const client of clients) {
    send(client, 'status', status())
    send(client, 'quotes', quotes())
  }
}

function json(response, code, body) {
  response.writeHead(code, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
  response.end(JSON.stringify(body))
}

const fail = (response, code, word, message) => json(response, code, { detail: { code: word, message } })

async function bodyOf(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {}
}

function events(response, query) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  send(response, 'status', status())
  send(response, 'quotes', quotes())
  response.candles = (query.get('candles') ?? '').split(',').filter(Boolean)
  clients.add(response)
  response.on('close', () => clients.delete(response))
}

function candles(response, query) {
  const book = market.books.get(query.get('symbol') ?? '')
  if (!book) return fail(response, 404, 'symbol_not_found', `No symbol ${query.get('symbol')}.`)
  const interval = query.get('interval') ?? '1m'
  return json(response, 200, {
    symbol: book.quote.symbol,
    interval,
    candles: candlesOf(book, interval, Date.parse(query.get('from') ?? '') || 0),
    more: false,
    note: null,
    live: true,
  })
}

async function addAlert(request, response) {
  const { rule = '' } = await bodyOf(request)
  if (!/ (crosses|rises|falls|moves|spread|silent|stale)/.test(rule)) {
    return fail(response, 400, 'invalid_request', `'${rule}' is no rule of an alert.`)
  }
  alerts.push({
    id: alerts.length + 1,
    rule,
    pause: 900,
    note: '',
    added: new Date().toISOString(),
    count: 0,
  })
  return json(response, 200, { accepted: true, changed: true, seq: alerts.length })
}

function removeAlert(response, id) {
  const at = alerts.findIndex((alert) => alert.id === id)
  if (at < 0) return fail(response, 404, 'alert_not_found', `No alert has the id ${id}.`)
  alerts.splice(at, 1)
  return json(response, 200, { accepted: true, changed: true, seq: 1 })
}

function sparklines(response, query) {
  const from = Date.now() - Number(query.get('minutes') ?? 10) * 60_000
  const series = (query.get('symbols') ?? '').split(',').map((symbol) => {
    const points = (market.books.get(symbol)?.points ?? []).filter(([at]) => at >= from)
    return {
      symbol,
      times: points.map(([at]) => Math.floor(at / 1000)),
      prices: points.map(([, price]) => price),
    }
  })
  return json(response, 200, { series })
}

function refused(response, wanted) {
  const found = refusalOf(wanted)
  if (found) json(response, found.status, { detail: found.detail })
  return found !== undefined
}

async function preview(request, response) {
  const wanted = await bodyOf(request)
  if (!refused(response, wanted)) json(response, 200, previewOf(market, wanted))
}

async function start(request, response) {
  const wanted = await bodyOf(request)
  if (scene.name !== 'stopped') {
    return fail(response, 409, 'ib_stream_lock_busy', 'The stream is started already (pid 4711).')
  }
  if (refused(response, wanted)) return undefined
  scene.project = wanted.project_id ?? scene.project
  setTimeout(() => setScene('mock'), 600)
  return json(response, 200, { seq: 12, changed: true })
}

function stop(response) {
  setScene('stopped')
  return json(response, 200, { seq: 13, changed: true })
}

async function page(path, response) {
  const file = normalize(join(STATIC, path === '/' ? 'index.html' : path))
  if (!file.startsWith(STATIC)) return fail(response, 404, 'not_found', '')
  const bytes = await readFile(file).catch(() => undefined)
  if (!bytes) return fail(response, 404, 'not_found', 'No such page.')
  response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream' })
  return response.end(bytes)
}

const API = '/api/ib/stream'

async function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const route = `${request.method} ${pathname}`
  const token = process.env.TOKEN
  if (token && pathname.startsWith(API) && request.headers.authorization !== `Bearer ${token}`) {
    return fail(response, 401, 'unauthorized', 'A bearer token is needed.')
  }
  if (route.startsWith('POST /dev/scenario/')) {
    setScene(pathname.split('/').at(-1))
    return json(response, 200, {})
  }
  if (route === `GET ${API}/status`) return json(response, 200, status())
  if (route === `GET ${API}/quotes`) {
    return json(response, 200, { quotes: quotes() })
  }
  if (route === `GET ${API}/plan`) return json(response, 200, planOf(market, scene))
  if (route === `GET ${API}/gaps`) return json(response, 200, linkHistory(market, scene, Date.now()))
  if (route === `GET ${API}/candles`) return candles(response, searchParams)
  if (route === `GET ${API}/quality`) return json(response, 200, qualityOf(market, searchParams.get('day')))
  if (route === `GET ${API}/alerts`) return json(response, 200, { alerts, recent: [] })
  if (route === `POST ${API}/alerts`) return addAlert(request, response)
  if (route.startsWith(`DELETE ${API}/alerts/`)) return removeAlert(response, Number(route.split('/').at(-1)))
  if (route === `GET ${API}/sparklines`) return sparklines(response, searchParams)
  if (route === `GET ${API}/projects`) return json(response, 200, projectsOf())
  const project = pathname.match(/\/projects\/(\d+)\/snapshots$/)
  if (project) return json(response, 200, snapshotsOf(Number(project[1])))
  if (route === `POST ${API}/plan`) return preview(request, response)
  if (route === `GET ${API}/events`) return events(response, searchParams)
  if (route === `POST ${API}/start`) return start(request, response)
  if (route === `POST ${API}/stop`) return stop(response)
  return page(pathname, response)
}

createServer((request, response) => {
  response.setHeader('X-Server-Time', new Date().toISOString())
  answer(request, response).catch((error) => fail(response, 500, 'bug', String(error)))
}).listen(PORT, '127.0.0.1', () => console.log(`http://127.0.0.1:${PORT}`))
