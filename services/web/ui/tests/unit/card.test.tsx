// The card as a person meets it, over a backend in memory.

import { act, fireEvent, render, screen, waitFor, within } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { beforeEach, describe, expect, it } from 'vitest'
import { languages, StreamCard, type StreamCardProps } from '../../src/card'
import { FakeBackend, quoteOf, refusal, statusOf } from './backend'

const { en, zh } = languages
let backend: FakeBackend

beforeEach(() => {
  backend = new FakeBackend().install()
})

async function open(props: StreamCardProps = {}) {
  const view = render(<StreamCard {...props} />)
  await waitFor(() => expect(badge().textContent).not.toBe(en.status.loading))
  return view
}

const badge = () => screen.getByTestId('status-badge')
const reason = () => screen.getByTestId('status-reason')
const metric = (name: string) => screen.getByTestId(`metric-${name}`)
const row = (symbol: string) => {
  const found = document.querySelector<HTMLElement>(`tr[data-symbol="${symbol}"]`)
  if (!found) throw new Error(`no row ${symbol}`)
  return found
}
const cell = (symbol: string, column: string) =>
  row(symbol).querySelector(`[data-column="${column}"]`)?.textContent
const order = () =>
  [...document.querySelectorAll('tr[data-symbol]')].map((r) => r.getAttribute('data-symbol'))

describe('status', () => {
  it.each(['connected', 'degraded', 'disconnected', 'starting', 'stopped'] as const)('%s', async (word) => {
    backend.status = statusOf(word, ['SPY'])
    await open()
    expect(badge()).toHaveProperty('textContent', en.status[word])
  })

  it('gives the reason in words, and follows the backend', async () => {
    await open()
    act(() =>
      backend.setStatus({ status: 'degraded', reason: 'farm_down', message: 'farm usfarm is broken' }),
    )
    await waitFor(() => expect(reason().textContent).toBe('Farm usfarm is broken.'))
    expect(badge().textContent).toBe('Degraded')
    act(() => backend.setStatus({ status: 'connected', reason: null, message: null }))
    await waitFor(() => expect(badge().textContent).toBe('Connected'))
  })

  it.each([
    ['connected', undefined],
    ['starting', en.trust.starting],
    ['degraded', en.trust.degraded],
    ['disconnected', en.trust.disconnected],
    ['stopped', en.trust.stopped],
  ] as const)('says of the prices when it is %s whether they may be used', async (status, said) => {
    backend.status = statusOf(status, ['SPY'], { reason: status === 'connected' ? null : 'farm_down' })
    await open()
    await waitFor(() => expect(badge().textContent).toBe(en.status[status]))
    expect(screen.queryByTestId('status-trust')?.textContent).toBe(said)
  })

  it('names the services that are down, in the reader’s language', async () => {
    backend.status = statusOf('degraded', [], {
      reason: 'service_down',
      message: 'sink is not running',
      services: { sink: { state: 'down' }, gateway: { state: 'up' } },
    })
    render(<StreamCard language="zh" />)
    await waitFor(() => expect(reason().textContent).toBe(`${zh.reason.service_down} (sink)`))
  })

  it('says that an outage inside a reset window is expected', async () => {
    backend.status = statusOf('disconnected', [], {
      reason: 'ib_connection_lost',
      link: { phase: 'no_ib', expected: true },
    })
    await open()
    expect(reason().textContent).toContain(en.reason.expected_reset)
  })

  it('shows the figures', async () => {
    backend.status = statusOf('degraded', ['SPY', 'QQQ'], {
      symbols: { SPY: { state: 'live' }, QQQ: { state: 'live' }, AAPL: { state: 'rejected' } },
      ib_error_count: 1234,
      market_data_type: 'delayed',
      degraded_since: new Date(Date.now() - 185_000).toISOString(),
      last_error: {
        time: new Date().toISOString(),
        code: 354,
        name: 'no_entitlement',
        message: 'Not subscribed',
        symbol: 'AAPL',
      },
    })
    await open()
    expect(metric('heartbeat').textContent).toMatch(/0\.\d s ago/)
    expect(metric('subscribed').textContent).toMatch(/2of 3 planned/)
    expect(metric('data-type').textContent).toContain('Delayed')
    expect(metric('errors').textContent).toContain('1,234')
    expect(metric('errors').textContent).toContain('354 · AAPL · Not subscribed')
    expect(metric('degraded').textContent).toContain('for 3 min')
  })

  it('counts the heartbeat’s age up, and stops believing an old one', async () => {
    backend.status = statusOf('connected', [], { last_heartbeat: new Date(Date.now() - 4_500).toISOString() })
    await open()
    const first = metric('heartbeat').textContent
    await waitFor(() => expect(metric('heartbeat').textContent).not.toBe(first))
    await waitFor(() => expect(badge().textContent).toBe(en.status.silent), { timeout: 3_000 })
  })

  it('tells a screen reader of a change, and of nothing else', async () => {
    await open()
    const announcer = screen.getByRole('status')
    expect(announcer.textContent).toContain('Connected')
    const before = announcer.textContent
    act(() => backend.emit('quotes', [quoteOf('SPY', 501)]))
    await waitFor(() => expect(cell('SPY', 'last')).toContain('501'))
    expect(announcer.textContent).toBe(before)
    act(() => backend.setStatus({ status: 'degraded', reason: 'farm_down' }))
    await waitFor(() => expect(announcer.textContent).toContain('Degraded'))
  })

  it('says once that prices are simulated', async () => {
    backend.status = statusOf('connected', ['SPY'], { api_mode: 'mock' })
    await open()
    expect(screen.getByTestId('mock-notice').textContent).toContain('Simulated')
  })
})

describe('contact with the backend', () => {
  it('says that it is away, distrusts every price, and comes back by itself', async () => {
    await open()
    act(() => backend.kill())
    await waitFor(() => expect(badge().textContent).toBe(en.status.away))
    expect(cell('SPY', 'state')).toContain(en.state.away)
    expect(screen.queryByRole('button', { name: en.control.stop })).toBeNull()
    backend.revive()
    await waitFor(() => expect(badge().textContent).toBe('Connected'), { timeout: 5_000 })
    expect(cell('SPY', 'state')).toContain('Live')
  })

  it('tries at once when asked to', async () => {
    await open()
    act(() => backend.kill())
    const button = await screen.findByRole('button', { name: en.retryNow })
    backend.revive()
    await userEvent.click(button)
    await waitFor(() => expect(badge().textContent).toBe('Connected'), { timeout: 300 })
  })

  it('says that access was refused, and tells the host once', async () => {
    backend.answers.set('GET /events', refusal(401, 'unauthorized', 'A token is needed.'))
    let told = 0
    render(<StreamCard onUnauthorized={() => told++} />)
    await waitFor(() => expect(badge().textContent).toBe(en.status.denied))
    expect(reason().textContent).toContain(en.error.unauthorized)
    expect(told).toBe(1)
  })

  it('sends its token with every request, and never in an address', async () => {
    await open({ token: 'secret', apiBase: 'http://elsewhere:9/base/' })
    await waitFor(() => expect(backend.calls.length).toBeGreaterThan(3))
    for (const call of backend.calls) {
      expect(call.headers.get('Authorization')).toBe('Bearer secret')
      expect(call.url).toMatch(/^http:\/\/elsewhere:9\/base\/api\/ib\/stream\//)
      expect(call.url).not.toContain('secret')
    }
  })

  it('fetches what it missed after each return', async () => {
    await open()
    const before = backend.called('GET /quotes').length
    act(() => backend.kill())
    await waitFor(() => expect(badge().textContent).toBe(en.status.away))
    backend.quotes = [quoteOf('SPY', 777)]
    backend.revive()
    await waitFor(() => expect(cell('SPY', 'last')).toContain('777'), { timeout: 5_000 })
    expect(backend.called('GET /quotes').length).toBe(before + 1)
  })

  it('lets go of everything when it is taken off the page', async () => {
    const view = await open()
    expect(backend.listeners).toBe(1)
    view.unmount()
    await waitFor(() => expect(backend.listeners).toBe(0))
  })
})

describe('control', () => {
  beforeEach(() => {
    backend.status = statusOf('stopped')
  })

  it('starts with what was typed, and shows that it is under way', async () => {
    let finish: (response: Response) => void = () => {}
    backend.answers.set('POST /start', () => new Promise((resolve) => (finish = resolve)))
    await open()
    await userEvent.type(await screen.findByRole('textbox', { name: en.control.project }), '2')
    await userEvent.type(screen.getByLabelText(en.control.maxSymbols), '40')
    await userEvent.selectOptions(screen.getByLabelText(en.control.dataType), 'delayed')
    await userEvent.click(screen.getByRole('button', { name: en.control.start }))
    const pending = await screen.findByRole('button', { name: en.control.starting })
    expect(pending.getAttribute('aria-disabled')).toBe('true')
    await userEvent.click(pending)
    expect(backend.called('POST /start').map((call) => call.body)).toEqual([
      { project_id: 2, max_symbols: 40, market_data_type: 'delayed' },
    ])
    act(() => {
      finish(Response.json({}))
      backend.setStatus(statusOf('starting'))
    })
    expect(await screen.findByRole('button', { name: en.control.stop })).toBeTruthy()
  })

  it.each([
    [409, 'ib_stream_lock_busy'],
    [404, 'project_not_found'],
    [404, 'decision_snapshot_not_found'],
    [422, 'symbols_empty'],
    [422, 'invalid_symbol'],
    [503, 'supervisor_unreachable'],
  ] as const)('shows a refusal in words (%i %s)', async (status, code) => {
    backend.answers.set('POST /start', refusal(status, code, 'What the backend said.'))
    await open()
    await userEvent.click(screen.getByRole('button', { name: en.control.start }))
    const alert = await screen.findByRole('alert')
    expect(alert.textContent).toContain(en.error[code])
    expect(alert.textContent).toContain('What the backend said.')
    expect(alert.textContent).toContain(code)
    expect(screen.getByRole('button', { name: en.control.start })).toBeTruthy()
  })

  it('explains a field that cannot be right, puts the focus there, and sends nothing', async () => {
    await open()
    const field = await screen.findByRole('textbox', { name: en.control.project })
    await userEvent.type(field, 'zero')
    await userEvent.click(screen.getByRole('button', { name: en.control.start }))
    expect(field.getAttribute('aria-invalid')).toBe('true')
    const note = document.getElementById(field.getAttribute('aria-describedby') ?? '')
    expect(note?.textContent).toBe('Enter a whole number of at least 1.')
    expect(document.activeElement).toBe(field)
    expect(backend.called('POST /start')).toEqual([])
  })

  it('stops after a second question, which Escape takes back', async () => {
    backend.status = statusOf('connected', ['SPY'])
    await open()
    await userEvent.click(screen.getByRole('button', { name: en.control.stop }))
    expect(document.activeElement?.textContent).toBe(en.control.stopYes)
    await userEvent.keyboard('{Escape}')
    expect(backend.called('POST /stop')).toEqual([])
    expect(document.activeElement?.textContent).toBe(en.control.stop)
    await userEvent.click(screen.getByRole('button', { name: en.control.stop }))
    await userEvent.click(screen.getByRole('button', { name: en.control.stopYes }))
    await waitFor(() => expect(backend.called('POST /stop')).toHaveLength(1))
    act(() => backend.setStatus(statusOf('stopped')))
    expect(await screen.findByRole('button', { name: en.control.start })).toBeTruthy()
  })
})

describe('quotes', () => {
  it('shows every figure of a quote', async () => {
    backend.quotes = [quoteOf('SPY', 512.5, { close: 510, volume: 12_345_678, bid: 512.49, ask: 512.51 })]
    await open()
    await waitFor(() => expect(cell('SPY', 'last')).toContain('512.50'))
    expect(cell('SPY', 'change')).toBe('+2.50')
    expect(cell('SPY', 'percent')).toContain('+0.49%')
    expect(cell('SPY', 'bidAsk')).toBe('300512.49×512.51200')
    expect(cell('SPY', 'volume')).toBe('12.35M')
    expect(cell('SPY', 'age')).toMatch(/\d s/)
    expect(cell('SPY', 'source')).toBe('Stream')
    expect(cell('SPY', 'state')).toContain('Live')
  })

  it('tells by text what a price is', async () => {
    const looks = {
      DELAYED: quoteOf('DELAYED', 1, { market_data_type: 'delayed' }),
      MOCK: quoteOf('MOCK', 1, { source: 'mock', market_data_type: 'delayed' }),
      HISTORY: quoteOf('HISTORY', 1, { source: 'ib_history', stale: true }),
      SNAPSHOT: quoteOf('SNAPSHOT', 1, { source: 'ib_snapshot' }),
      FROZEN: quoteOf('FROZEN', 1, { market_data_type: 'frozen' }),
    }
    backend.quotes = Object.values(looks)
    backend.status = statusOf('connected', Object.keys(looks))
    await open()
    await waitFor(() => expect(cell('DELAYED', 'source')).toBe('Delayed'))
    expect(cell('MOCK', 'source')).toBe('Mock · Delayed')
    expect(cell('HISTORY', 'source')).toBe('History')
    expect(cell('SNAPSHOT', 'source')).toBe('Snapshot')
    expect(cell('FROZEN', 'source')).toBe('Frozen')
    const seen = new Set(Object.keys(looks).map((symbol) => row(symbol).getAttribute('data-source')))
    expect(seen.size).toBe(5)
  })

  it('shows a price that IB withdrew as absent', async () => {
    await open()
    await waitFor(() => expect(cell('SPY', 'last')).toContain('500'))
    act(() => backend.emit('quotes', [quoteOf('SPY', 0, { last: undefined, bid: undefined })]))
    await waitFor(() => expect(cell('SPY', 'last')).not.toContain('500'))
    expect(cell('SPY', 'change')).toBe('–')
  })

  it('renders only the rows that changed', async () => {
    await open()
    await waitFor(() => expect(cell('AAPL', 'last')).toContain('200'))
    const touched = new Set<string | undefined>()
    const observer = new MutationObserver((records) => {
      for (const { target } of records) {
        const element = target instanceof Element ? target : target.parentElement
        const column = element?.closest('[data-column]')?.getAttribute('data-column')
        if (column !== 'age' && column !== 'symbol') {
          touched.add(element?.closest('tr')?.getAttribute('data-symbol') ?? undefined)
        }
      }
    })
    const body = document.querySelector('tbody')
    if (body) observer.observe(body, { subtree: true, childList: true, characterData: true })
    act(() => backend.emit('quotes', [quoteOf('QQQ', 404.25)]))
    await waitFor(() => expect(cell('QQQ', 'last')).toContain('404.25'))
    observer.disconnect()
    expect([...touched]).toEqual(['QQQ'])
  })

  it('sorts by any column, numbers largest first, unknown last', async () => {
    backend.quotes = [
      quoteOf('SPY', 500),
      quoteOf('QQQ', 400),
      quoteOf('AAPL', 1000),
      quoteOf('NEW', 1, { last: undefined }),
    ]
    backend.status = statusOf('connected', ['SPY', 'QQQ', 'AAPL', 'NEW'])
    await open()
    await waitFor(() => expect(order()).toEqual(['SPY', 'QQQ', 'AAPL', 'NEW']))
    const header = screen.getByRole('columnheader', { name: en.table.last })
    await userEvent.click(within(header).getByRole('button'))
    expect(order()).toEqual(['AAPL', 'SPY', 'QQQ', 'NEW'])
    expect(header.getAttribute('aria-sort')).toBe('descending')
    await userEvent.click(within(header).getByRole('button'))
    expect(order()).toEqual(['QQQ', 'SPY', 'AAPL', 'NEW'])
    await userEvent.click(within(header).getByRole('button'))
    expect(order()).toEqual(['SPY', 'QQQ', 'AAPL', 'NEW'])
    expect(header.getAttribute('aria-sort')).toBeNull()
    await userEvent.selectOptions(screen.getByLabelText(en.table.sortBy), 'symbol')
    expect(order()).toEqual(['AAPL', 'NEW', 'QQQ', 'SPY'])
  })

  it('keeps the order right while prices move', async () => {
    await open()
    await userEvent.selectOptions(screen.getByLabelText(en.table.sortBy), 'last')
    await waitFor(() => expect(order()).toEqual(['SPY', 'QQQ', 'AAPL']))
    act(() => backend.emit('quotes', [quoteOf('AAPL', 900)]))
    await waitFor(() => expect(order()).toEqual(['AAPL', 'SPY', 'QQQ']), { timeout: 3_000 })
  })

  it('filters by name and by state', async () => {
    backend.status = statusOf('degraded', ['SPY', 'QQQ', 'AAPL'])
    backend.status.symbols = {
      SPY: { state: 'live', priority: 0 },
      QQQ: { state: 'stale', priority: 1, reason: 'farm_down' },
      AAPL: { state: 'live', priority: 2 },
    }
    await open()
    await userEvent.type(screen.getByLabelText(en.table.filter), 'aa')
    expect(order()).toEqual(['AAPL'])
    expect(screen.getByText('1 of 3')).toBeTruthy()
    await userEvent.click(screen.getByRole('button', { name: en.table.clearFilter }))
    await userEvent.click(screen.getByRole('button', { name: 'Stale 1' }))
    expect(order()).toEqual(['QQQ'])
    expect(cell('QQQ', 'state')).toContain(en.reason.farm_down)
    await userEvent.type(screen.getByLabelText(en.table.filter), 'zzz')
    expect(screen.getByText(en.table.noMatch)).toBeTruthy()
  })

  it('opens a chart and details under a row, by keyboard too', async () => {
    backend.status.symbols = { SPY: { state: 'live', why: 'benchmark' } }
    const minute = {
      symbol: 'SPY',
      interval: '1m',
      coverage: 1,
      complete: true,
      high: 501,
      low: 498,
    } as const
    backend.candles = [
      { ...minute, start: '2026-01-05T14:30:00Z', end: '2026-01-05T14:31:00Z', open: 499, close: 499.5 },
      { ...minute, start: '2026-01-05T14:31:00Z', end: '2026-01-05T14:32:00Z', open: 499.5, close: 500 },
    ]
    await open()
    const button = await screen.findByRole('button', { name: 'SPY: show chart and details' })
    button.focus()
    await userEvent.keyboard('{Enter}')
    expect(button.getAttribute('aria-expanded')).toBe('true')
    expect(document.getElementById(button.getAttribute('aria-controls') ?? '')?.textContent).toContain(
      'benchmark',
    )
    expect(
      await screen.findByRole('img', { name: /SPY, 2 candles of 1 min: from 499.00 to 500.00, low 498.00/ }),
    ).toBeTruthy()
    const lengths = screen.getByRole('group', { name: en.chart.interval })
    await userEvent.click(within(lengths).getByRole('button', { name: '1 h' }))
    await waitFor(() => expect(backend.called('GET /candles').at(-1)?.query.get('interval')).toBe('1h'))
    await userEvent.keyboard('{Tab}')
    await userEvent.click(button)
    expect(screen.queryByText(/benchmark/)).toBeNull()
  })

  it('has the candles of an open chart pushed, and no more once it is closed', async () => {
    const minute = { symbol: 'SPY', interval: '1m', coverage: 1, high: 501, low: 498, open: 499 } as const
    const first = { ...minute, start: '2026-01-05T14:30:00Z', end: '2026-01-05T14:31:00Z' }
    backend.candles = [{ ...first, close: 499.5, complete: false }]
    await open()
    const asked = () => backend.called('GET /events').at(-1)?.query.get('candles')
    const button = await screen.findByRole('button', { name: 'SPY: show chart and details' })
    await userEvent.click(button)
    await screen.findByRole('img', { name: /1 candles of 1 min: from 499.00 to 499.50/ })
    await waitFor(() => expect(asked()).toBe('1m.SPY'))
    await waitFor(() => expect(backend.called('GET /candles').length).toBe(2)) // what came before it was listened to
    backend.emit('candles', [{ ...first, close: 500.25, complete: false }])
    await screen.findByRole('img', { name: /1 candles of 1 min: from 499.00 to 500.25/ })
    expect(backend.called('GET /candles').length).toBe(2)
    expect(backend.listeners).toBe(1)
    await userEvent.click(button)
    await waitFor(() => expect(asked()).toBeNull())
  })

  it('goes on with quotes when candles are not pushed any more', async () => {
    await open()
    backend.answers.set('GET /events', ({ query }) =>
      query.has('candles')
        ? Response.json({ detail: { code: 'invalid_request', message: 'No.' } }, { status: 400 })
        : new Response(new ReadableStream(), { headers: { 'Content-Type': 'text/event-stream' } }),
    )
    await userEvent.click(await screen.findByRole('button', { name: 'SPY: show chart and details' }))
    await screen.findByText(en.chart.still, { exact: false })
    await waitFor(() => expect(backend.called('GET /events').at(-1)?.query.has('candles')).toBe(false), {
      timeout: 3_000,
    })
  })

  it('shows greeks and what generic ticks brought', async () => {
    const model = { implied_volatility: 0.3125, delta: 0.51, gamma: 0.0125, underlying: 500.5 }
    const generic = {
      mark_price: 12.5,
      rt_volume: { vwap: 12.25, single: true },
      fundamentals: { PEEXCLXOR: 11 },
      news: { headline: 'Up; or down?' },
      something_new: 7,
    }
    backend.quotes = [quoteOf('SPY', 12.5, { greeks: { model }, generic })]
    await open()
    await userEvent.click(await screen.findByRole('button', { name: 'SPY: show chart and details' }))
    const table = await screen.findByRole('table', { name: en.more.greeks })
    const row = within(table).getByRole('row', { name: /Model/ })
    expect(row.textContent).toBe(`Model31.3 %0.51000.0125${en.none}${en.none}500.50`)
    expect(within(table).queryByText(en.more.bid)).toBeNull()
    expect(screen.getByText('Trade: VWAP').nextSibling?.textContent).toBe('12.25')
    expect(screen.getByText(en.more.mark_price).nextSibling?.textContent).toBe('12.5')
    expect(screen.getByText('something new').nextSibling?.textContent).toBe('7')
    expect(screen.getByText('Up; or down?')).toBeTruthy()
    expect(screen.queryByText(/PEEXCLXOR/)).toBeNull()
  })

  it('offers to load a chart again that failed', async () => {
    backend.answers.set('GET /candles', refusal(503, 'journal_unavailable', 'No.'))
    await open()
    await userEvent.click(await screen.findByRole('button', { name: 'SPY: show chart and details' }))
    await screen.findByText(en.chart.failed, { exact: false })
    backend.answers.delete('GET /candles')
    await userEvent.click(screen.getByRole('button', { name: en.chart.retry }))
    await waitFor(() => expect(screen.queryByText(en.chart.failed, { exact: false })).toBeNull())
  })

  it('leaves out columns and shows a group, and finds both again', async () => {
    const kept = new Map<string, string>()
    const memory = {
      read: (key: string) => kept.get(key) ?? null,
      write: (key: string, value: string) => void kept.set(key, value),
    }
    backend.quotes = [quoteOf('SPY', 500), quoteOf('AAPL', 200)]
    backend.status.symbols = {
      SPY: { state: 'live', why: 'benchmark; decision_snapshot 12, rank 3' },
      AAPL: { state: 'live', why: 'decision_snapshot 12, rank 1' },
    }
    await open({ memory })
    await userEvent.click(screen.getByText(en.table.columns, { selector: 'summary' }))
    await userEvent.click(await screen.findByRole('checkbox', { name: en.table.volume }))
    const quotes = document.querySelector('[data-hidden]')
    expect(quotes?.getAttribute('data-hidden')).toBe('volume')
    await userEvent.selectOptions(screen.getByLabelText(en.table.group), 'benchmark')
    expect(order()).toEqual(['SPY'])
    expect([kept.get('hidden'), kept.get('group')]).toEqual(['["volume"]', '"benchmark"'])
  })

  it('has columns to add, by what they are about, sorts by them and finds them again', async () => {
    const kept = new Map([['columns', '["delta","not_ours"]']])
    const memory = {
      read: (key: string) => kept.get(key) ?? null,
      write: (key: string, value: string) => void kept.set(key, value),
    }
    backend.quotes = [
      quoteOf('SPY', 500, { local_symbol: 'ESH6', greeks: { model: { delta: 0.25 } } }),
      quoteOf('QQQ', 400, { greeks: { bid: { delta: 0.5 }, ask: { delta: 0.75 } } }),
      quoteOf('AAPL', 200, { generic: { shortable_shares: 1250 } }),
    ]
    await open({ memory })
    const cell = (symbol: string, column: string) =>
      document.querySelector(`tr[data-symbol="${symbol}"] [data-column="${column}"]`)?.textContent
    await waitFor(() => expect(cell('SPY', 'delta')).toBe('0.2500'))
    expect([cell('QQQ', 'delta'), cell('AAPL', 'delta')]).toEqual(['0.6250', en.none])
    await userEvent.click(screen.getByText(en.table.columns, { selector: 'summary' }))
    const contract = await screen.findByRole('group', { name: en.columnGroup.contract })
    await userEvent.click(within(contract).getByRole('checkbox', { name: en.more.local_symbol }))
    const ticks = screen.getByRole('group', { name: en.columnGroup.generic })
    await userEvent.click(within(ticks).getByRole('checkbox', { name: en.more.shortable_shares }))
    expect([cell('SPY', 'local_symbol'), cell('AAPL', 'shortable_shares')]).toEqual(['ESH6', '1,250'])
    expect(JSON.parse(kept.get('columns') ?? '')).toEqual(['delta', 'local_symbol', 'shortable_shares'])
    await userEvent.click(screen.getByRole('button', { name: en.more.delta }))
    await waitFor(() => expect(order()).toEqual(['QQQ', 'SPY', 'AAPL']))
  })

  it('marks symbols with something to look at, and says what, and marks the held ones', async () => {
    backend.status.symbols = {
      SPY: { state: 'live', why: 'held; benchmark', held: true, marks: ['crossed', 'clock'] },
      QQQ: { state: 'live', marks: [] },
      AAPL: { state: 'live' },
    }
    await open()
    const mark = (symbol: string) => {
      const cell = document.querySelector(`tr[data-symbol="${symbol}"] td[data-column="quality"]`)
      return cell?.querySelector('[role="img"]')?.ariaLabel ?? cell?.textContent
    }
    await waitFor(() => expect(mark('SPY')).toBe(' 2To look at today: crossed, clock'))
    expect([mark('QQQ'), mark('AAPL')]).toEqual([en.quality.good, ''])
    expect(document.querySelector('tr[data-symbol="SPY"] th')?.textContent).toContain(en.group.held)
    expect(screen.getByText('1 of 2 symbols to look at today')).toBeTruthy()
    await userEvent.click(await screen.findByRole('button', { name: 'SPY: show chart and details' }))
    const list = screen.getByRole('list', { name: en.quality.title })
    expect(list.textContent).toContain(en.markHelp.clock)
    act(() =>
      backend.setStatus({ symbols: { ...backend.status.symbols, SPY: { state: 'live', marks: [] } } }),
    )
    await waitFor(() => expect(mark('SPY')).toBe(en.quality.good))
  })

  it('shows the report of a day, those with marks first of all', async () => {
    const odd = {
      time: '2026-01-05T15:10:02.250000Z',
      field: 'last',
      price: 701.5,
      before: 687.1,
      after: 687.2,
    }
    const symbols = [
      {
        symbol: 'SPY',
        ticks: 481203,
        coverage: 0.98765,
        marks: ['outliers', 'blind'],
        worst_outliers: [odd],
      },
      { symbol: 'QQQ', ticks: 5, marks: [] },
    ]
    backend.answers.set('GET /quality', ({ query }) =>
      query.get('day') === '2026-01-04'
        ? Response.json({ detail: { code: 'past_deleted', message: 'gone' } }, { status: 410 })
        : Response.json({ start: '', end: '', until: '2026-01-05T21:00:00.250000Z', symbols }),
    )
    await open()
    const panel = screen.getByTestId('quality')
    expect(backend.called('GET /quality').length).toBe(0)
    await userEvent.click(within(panel).getByText(en.quality.title))
    const row = await within(panel).findByRole('row', { name: /SPY/ })
    expect(row.textContent).toContain('Last 701.5 between 687.1 and 687.2 at 15:10:02')
    expect(row.textContent).toContain('98.76 %')
    expect(within(panel).queryByText('QQQ')).toBeNull()
    await userEvent.click(within(panel).getByLabelText(en.quality.all))
    expect(within(panel).getByRole('row', { name: /QQQ/ }).textContent).toContain(en.quality.good)
    fireEvent.change(within(panel).getByLabelText(en.quality.day), { target: { value: '2026-01-04' } })
    await within(panel).findByRole('alert')
  })

  it('shows the report of the day that was chosen last, whichever comes first', async () => {
    const late: ((answer: Response) => void)[] = []
    const report = (symbol: string) =>
      Response.json({
        start: '',
        end: '',
        until: '2026-01-05T21:00:00Z',
        symbols: [{ symbol, ticks: 5, marks: ['stuck'] }],
      })
    backend.answers.set('GET /quality', ({ query }) =>
      query.get('day') === '2026-01-03'
        ? new Promise<Response>((resolve) => late.push(resolve))
        : report(query.get('day') === '2026-01-04' ? 'LAST' : 'TODAY'),
    )
    await open()
    const panel = screen.getByTestId('quality')
    await userEvent.click(within(panel).getByText(en.quality.title))
    const day = within(panel).getByLabelText(en.quality.day)
    fireEvent.change(day, { target: { value: '2026-01-03' } })
    await waitFor(() => expect(late).toHaveLength(1))
    fireEvent.change(day, { target: { value: '2026-01-04' } })
    await within(panel).findByRole('row', { name: /LAST/ })
    await act(async () => {
      late[0]?.(report('FIRST'))
      await new Promise((resolve) => setImmediate(resolve))
    })
    expect(within(panel).getByRole('row', { name: /LAST/ })).toBeTruthy()
  })

  it('sets, shows and removes price alerts, and says the backend’s refusal', async () => {
    const spy = { id: 7, rule: 'SPY rises above 600', pause: 900, added: '2026-01-05T14:30:00Z' }
    backend.answers.set('POST /alerts', refusal(400, 'invalid_request', "'SPY jumps' is no rule of an alert"))
    await open()
    await userEvent.click(await screen.findByText(en.alerts.title))
    const rule = screen.getByLabelText(en.alerts.rule)
    await userEvent.type(rule, 'SPY jumps')
    await userEvent.click(screen.getByRole('button', { name: en.alerts.add }))
    await screen.findByText(/is no rule of an alert/)
    backend.answers.set('POST /alerts', () => {
      backend.alerts = { alerts: [spy], recent: [] }
      return Response.json({ accepted: true, changed: true, seq: 7 })
    })
    await userEvent.clear(rule)
    await userEvent.type(rule, 'SPY rises above 600')
    await userEvent.click(screen.getByRole('button', { name: en.alerts.add }))
    await screen.findByText('SPY rises above 600')
    expect(screen.queryByText(/is no rule/)).toBeNull()
    expect(backend.called('POST /alerts').at(-1)?.body).toMatchObject({ rule: 'SPY rises above 600' })
    backend.answers.set('DELETE /alerts/7', () => {
      backend.alerts = { alerts: [], recent: [] }
      return Response.json({ accepted: true, changed: true, seq: 8 })
    })
    await userEvent.click(screen.getByRole('button', { name: 'Remove the alert SPY rises above 600' }))
    await screen.findByText(en.alerts.none)
  })

  it('tells an empty stream from one that is still coming', async () => {
    backend.quotes = []
    backend.status = statusOf('stopped')
    await open()
    expect(await screen.findByText(en.table.empty)).toBeTruthy()
    act(() => backend.setStatus(statusOf('starting')))
    expect(await screen.findByText(en.table.emptyRunning)).toBeTruthy()
  })
})

describe('link history', () => {
  it('is a picture with words, and a list', async () => {
    const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()
    backend.link = [
      { time: ago(90), status: 'connected', reason: null },
      { time: ago(30), status: 'disconnected', reason: 'gateway_unreachable' },
      { time: ago(15), status: 'connected', reason: null },
    ]
    backend.gaps = ['SPY', 'QQQ'].map((symbol) => ({
      symbol,
      start: ago(30),
      end: ago(15),
      reason: 'gateway_unreachable',
      filled: true,
    }))
    await open()
    const strip = screen.getByRole('region', { name: en.strip.title })
    await waitFor(() =>
      expect(within(strip).getByRole('img').getAttribute('aria-label')).toBe(
        'Link in the last 1 h: Connected 75 %, Disconnected 25 %, 1 price gap.',
      ),
    )
    await userEvent.click(within(strip).getByText(en.strip.list))
    expect(within(strip).getByText('No prices: SPY, QQQ (filled from history)')).toBeTruthy()
    await userEvent.click(within(strip).getByRole('button', { name: '15 min' }))
    await waitFor(() =>
      expect(within(strip).getByRole('img').getAttribute('aria-label')).toContain('Connected 100 %'),
    )
  })
})

describe('as a component', () => {
  it('speaks Chinese', async () => {
    backend.status = statusOf('degraded', ['SPY'], {
      reason: 'competing_session',
      message: 'another session',
    })
    render(<StreamCard language="zh" />)
    await waitFor(() => expect(badge().textContent).toBe(zh.status.degraded))
    expect(reason().textContent).toBe(zh.reason.competing_session)
    expect(screen.getByRole('region', { name: zh.title }).getAttribute('lang')).toBe('zh-CN')
    expect(document.body.textContent).not.toMatch(/Connected|Subscribed|Heartbeat|Filter/)
  })

  it('takes the host’s words and theme', async () => {
    await open({ strings: { status: { connected: 'Alles gut' } }, theme: 'dark', className: 'mine' })
    await waitFor(() => expect(badge().textContent).toBe('Alles gut'))
    const card = screen.getByRole('region', { name: en.title })
    expect(card.getAttribute('data-theme')).toBe('dark')
    expect(card.className).toContain('mine')
  })

  it('colours rises red in Chinese, as its readers expect, unless told otherwise', async () => {
    const view = await open({ language: 'zh' })
    const card = () => screen.getByRole('region', { name: zh.title }).getAttribute('data-change-colors')
    expect(card()).toBe('red-up')
    view.rerender(<StreamCard language="zh" changeColors="green-up" />)
    expect(card()).toBe('green-up')
  })

  it('does nothing when it is only imported', async () => {
    const before = { calls: backend.calls.length, head: document.head.innerHTML }
    await import('../../src/card')
    expect(backend.calls.length).toBe(before.calls)
    expect(document.head.innerHTML).toBe(before.head)
  })
})
