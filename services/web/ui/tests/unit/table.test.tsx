// The quote table with many symbols, by keyboard, by link, and after a reload.

import { act, render, screen, waitFor } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { languages, StreamCard, type StreamCardProps } from '../../src/card'
import { csvOf } from '../../src/card/csv'
import { extrasOf } from '../../src/card/extraColumns'
import { FakeBackend, quoteOf, statusOf } from './backend'

const { en } = languages
let backend: FakeBackend

beforeEach(() => {
  backend = new FakeBackend().install()
})

const drawn = () =>
  [...document.querySelectorAll('tr[data-symbol]')].map((row) => row.getAttribute('data-symbol'))
const button = (symbol: string) =>
  document.querySelector<HTMLButtonElement>(`tr[data-symbol="${symbol}"] button`)

function plan(symbols: string[]) {
  backend.quotes = symbols.map((symbol, i) => quoteOf(symbol, 100 + i))
  backend.status = statusOf('connected', symbols)
}

async function open(props: StreamCardProps = {}) {
  const view = render(<StreamCard {...props} />)
  await waitFor(() => expect(drawn().length).toBeGreaterThan(1))
  return view
}

describe('a thousand symbols', () => {
  const symbols = Array.from({ length: 1_000 }, (_, i) => `S${String(i).padStart(4, '0')}`)
  beforeEach(() => plan(symbols))

  it('draws the rows in sight, and says how many there are', async () => {
    await open()
    const table = screen.getByRole('table', { name: en.table.caption })
    expect(drawn().length).toBeLessThan(60)
    expect(drawn()[0]).toBe('S0000')
    expect(table.getAttribute('aria-rowcount')).toBe('1001')
    expect(table.querySelector('tr[data-symbol="S0007"]')?.getAttribute('aria-rowindex')).toBe('9')
    expect(table.querySelector('tbody')?.style.height).toBe(`${1_000 * 34}px`)
    expect(table.querySelector<HTMLElement>('tr[data-symbol="S0007"]')?.style.top).toBe(`${7 * 34}px`)
  })

  it('shows other rows by the same elements as a person scrolls, and has them in order at rest', async () => {
    await open()
    await waitFor(() => expect(button('S0000')).toBeTruthy())
    act(() => button('S0002')?.focus())
    const elements = new Set(document.querySelectorAll('tr[data-symbol]'))
    const body = document.querySelector('tbody') as HTMLElement
    const top = vi.spyOn(body, 'getBoundingClientRect')
    for (const row of [3, 9, 30, 500]) {
      top.mockReturnValue({ top: -row * 34 } as DOMRect)
      act(() => void document.dispatchEvent(new Event('scroll')))
    }
    expect(new Set(drawn()).size).toBe(drawn().length)
    expect(drawn()).toContain('S0510')
    const now = [...document.querySelectorAll<HTMLElement>('tr[data-symbol]')]
    expect(now.filter((row) => !elements.has(row))).toHaveLength(1) // in place of the one with the focus
    for (const row of now) {
      const index = Number(row.dataset.symbol?.slice(1))
      expect([row.ariaRowIndex, row.style.top]).toEqual([String(index + 2), `${index * 34}px`])
      expect(row.querySelector('[data-column="last"]')?.textContent).toBe(`${100 + index}.00`)
    }
    expect(document.activeElement).toBe(button('S0002'))
    expect(drawn()).not.toEqual(drawn().sort())
    await waitFor(() => expect(drawn()).toEqual(drawn().sort()))
    expect(document.activeElement).toBe(button('S0002'))
  })

  it('never hands the focus of a row that is gone to another', async () => {
    await open()
    act(() => button('S0002')?.focus())
    const row = button('S0002')?.closest('tr')
    act(() => {
      backend.setStatus(
        statusOf(
          'connected',
          symbols.filter((symbol) => symbol !== 'S0002'),
        ),
      )
    })
    await waitFor(() => expect(button('S0002')).toBeNull())
    expect(row?.isConnected).toBe(false)
    expect(document.activeElement).toBe(document.body)
  })

  it('asks for the sparklines in sight in one request', async () => {
    await open()
    await waitFor(() => expect(backend.called('GET /sparklines')).toHaveLength(1))
    expect(backend.called('GET /sparklines')[0]?.query.get('symbols')?.split(',').sort()).toEqual(drawn())
    expect(backend.called('GET /history')).toEqual([])
  })

  it('is walked through with the arrow keys, one stop of the Tab key', async () => {
    await open()
    const stops = () => [...document.querySelectorAll('tbody button[tabindex="0"]')]
    await waitFor(() => expect(stops()).toHaveLength(1))
    act(() => button('S0000')?.focus())
    await userEvent.keyboard('{ArrowUp}{ArrowDown}{ArrowDown}')
    expect(document.activeElement).toBe(button('S0002'))
    expect(stops()).toEqual([button('S0002')])
    await userEvent.keyboard('{End}')
    expect(document.activeElement).toBe(button('S0999'))
    expect(drawn().length).toBeLessThan(60)
    await userEvent.keyboard('{ArrowUp}{PageUp}')
    expect(document.activeElement).toBe(button('S0980'))
    await userEvent.keyboard('{Enter}')
    expect(button('S0980')?.getAttribute('aria-expanded')).toBe('true')
    await userEvent.keyboard('{Home}')
    expect(document.activeElement).toBe(button('S0000'))
  })

  it('opens the symbol that a link names, wherever it is', async () => {
    await open({ symbol: 'S0700' })
    await waitFor(() => expect(button('S0700')?.getAttribute('aria-expanded')).toBe('true'))
    expect(await screen.findByRole('img', { name: /S0700/ })).toBeTruthy()
  })
})

describe('a link to a symbol', () => {
  it('waits for a symbol that comes later, and follows to another', async () => {
    const view = await open({ symbol: 'LATE' })
    expect(screen.queryByRole('img', { name: /LATE/ })).toBeNull()
    act(() => {
      backend.setStatus(statusOf('connected', ['SPY', 'LATE']))
      backend.emit('quotes', [quoteOf('LATE', 7)])
    })
    expect(await screen.findByRole('img', { name: /LATE/ })).toBeTruthy()
    view.rerender(<StreamCard symbol="SPY" />)
    expect(await screen.findByRole('img', { name: /SPY/ })).toBeTruthy()
  })

  it('shows it although a filter would hide it', async () => {
    const view = await open()
    await userEvent.type(screen.getByLabelText(en.table.filter), 'qqq')
    expect(drawn()).toEqual(['QQQ'])
    view.rerender(<StreamCard symbol="SPY" />)
    expect(await screen.findByRole('img', { name: /SPY/ })).toBeTruthy()
    expect(screen.getByLabelText(en.table.filter)).toHaveProperty('value', '')
  })

  it('is told to the host when a person opens and closes a chart', async () => {
    const onSymbol = vi.fn()
    await open({ onSymbol })
    for (const symbol of ['SPY', 'QQQ', 'QQQ', 'SPY']) await userEvent.click(button(symbol) as Element)
    expect(onSymbol.mock.calls).toEqual([['SPY'], ['QQQ'], ['SPY'], [undefined]])
  })
})

describe('what was chosen', () => {
  function memory(kept: Record<string, string> = {}) {
    return {
      kept,
      read: (key: string) => kept[key] ?? null,
      write: (key: string, value: string) => {
        kept[key] = value
      },
    }
  }

  it('is there again after a reload', async () => {
    const place = memory()
    const view = await open({ memory: place })
    await userEvent.selectOptions(screen.getByLabelText(en.table.sortBy), 'last')
    await userEvent.click(screen.getByRole('button', { name: en.table.compact }))
    await userEvent.click(screen.getByRole('button', { name: 'Live 3' }))
    view.unmount()
    await open({ memory: place })
    expect(screen.getByRole('columnheader', { name: en.table.last }).getAttribute('aria-sort')).toBe(
      'descending',
    )
    expect(drawn()).toEqual(['SPY', 'QQQ', 'AAPL'])
    expect(screen.getByRole('button', { name: en.table.compact }).getAttribute('aria-pressed')).toBe('true')
    expect(screen.getByRole('button', { name: 'Live 3' }).getAttribute('aria-pressed')).toBe('true')
  })

  it('has the plan’s order after a stop, also for who comes then', async () => {
    const place = memory()
    plan(['SPY', 'AAPL', 'QQQ'])
    const view = await open({ memory: place })
    await waitFor(() => expect(drawn()).toEqual(['SPY', 'AAPL', 'QQQ']))
    act(() => backend.setStatus(statusOf('stopped')))
    await screen.findByRole('button', { name: en.control.start })
    expect(drawn()).toEqual(['SPY', 'AAPL', 'QQQ'])
    view.unmount()
    await open({ memory: place })
    expect(drawn()).toEqual(['SPY', 'AAPL', 'QQQ'])
  })

  it.each(['{', '[{"id":"nonsense","desc":true}]', '{"id":1}', 'null', '[]', '7'])(
    'is forgotten when it makes no sense: %s',
    async (kept) => {
      await open({ memory: memory({ sort: kept, compact: kept, state: kept, order: kept }) })
      expect(drawn()).toEqual(['SPY', 'QQQ', 'AAPL'])
    },
  )
})

describe('the file of what is shown', () => {
  it('has the rows in their order, and tells which price was good', () => {
    const now = Date.parse('2026-03-04T10:00:00Z')
    const good = quoteOf('SPY', 500.1, {
      close: 500,
      bid: 500.09,
      timestamp: '2026-03-04T09:59:59Z',
      exchange: 'A,"B"',
      local_symbol: 'ESH6',
      greeks: { model: { delta: 0.25 } },
    })
    const text = csvOf(
      [
        { symbol: 'SPY', quote: good, state: 'live', groups: [], marks: ['crossed', 'stuck'] },
        { symbol: 'QQQ', quote: quoteOf('QQQ', 400, { stale: true }), state: 'stale', groups: [], marks: [] },
        { symbol: 'NEW', quote: undefined, state: 'pending', groups: [], marks: undefined },
      ],
      extrasOf(['delta', 'local_symbol', 'close']),
      (symbol) => (symbol === 'SPY' ? now + 5_000 : 0),
      now,
    )
    const [header, ...lines] = text.split('\r\n')
    expect(header?.split(',').slice(0, 8).join()).toBe(
      'symbol,state,usable,change,change_percent,source,market_data_type,last',
    )
    expect(lines[0]).toBe(
      'SPY,live,yes,0.1,0.02,ib_stream,realtime,500.1,500.09,300,500.11,200,,,,500,1000,,"A,""B""",2026-03-04T09:59:59Z,2026-03-04T10:00:05.000Z,crossed stuck,ESH6,0.25',
    )
    expect(header).toMatch(/,good_until,marks,local_symbol,delta$/) // close stands in it anyway
    expect(lines[1]).toMatch(/^QQQ,stale,no,300,300,.*,none,,$/)
    expect(lines[2]).toBe(`NEW,pending,no${','.repeat(21)}`)
    expect(lines[3]).toBe('')
  })

  it('is saved with what the table shows', async () => {
    await open()
    const made: Blob[] = []
    vi.stubGlobal(
      'URL',
      Object.assign(URL, {
        createObjectURL: (blob: Blob) => `blob:${made.push(blob)}`,
        revokeObjectURL: () => {},
      }),
    )
    vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(() => {})
    await userEvent.type(screen.getByLabelText(en.table.filter), 'q')
    await userEvent.click(screen.getByRole('button', { name: en.table.csv }))
    expect((await made[0]?.text())?.split('\r\n').map((line) => line.split(',')[0])).toEqual([
      'symbol',
      'QQQ',
      '',
    ])
  })
})
