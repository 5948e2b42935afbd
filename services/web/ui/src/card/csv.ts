// The quotes that are shown, as a file for a spreadsheet. Pure, but for the last function, which hands it over.

import type { RowData } from './columns'
import type { ExtraColumn } from './extraColumns'
import { changeOf } from './format'

const FIELDS = [
  'source',
  'market_data_type',
  'last',
  'bid',
  'bid_size',
  'ask',
  'ask_size',
  'open',
  'high',
  'low',
  'close',
  'volume',
  'currency',
  'exchange',
  'timestamp',
  'good_until',
] as const

/**
 * A header, and a line a row in the order given. `usable` tells whether the price was good at `now` (UTC ms); `marks`
 * what to look at in the data of today, `none` where nothing was found; then the columns that a person added.
 */
export function csvOf(
  rows: readonly RowData[],
  extras: readonly ExtraColumn[],
  goodUntil: (symbol: string) => number,
  now: number,
): string {
  const added = extras.filter(({ id }) => !FIELDS.some((field) => field === id))
  const names = added.map(({ id }) => id)
  const header = ['symbol', 'state', 'usable', 'change', 'change_percent', ...FIELDS, 'marks', ...names]
  const lines = rows.map(({ symbol, quote, state, marks }) => {
    const until = goodUntil(symbol)
    const change = changeOf(quote)
    const own = { ...quote, good_until: until > 0 ? new Date(until).toISOString() : undefined }
    const usable = now < until ? 'yes' : 'no'
    return [
      symbol,
      state,
      usable,
      rounded(change?.value),
      rounded(change?.percent),
      ...FIELDS.map((f) => own[f]),
      marks && (marks.join(' ') || 'none'),
      ...added.map(({ value }) => quote && value(quote)),
    ]
  })
  return [header, ...lines].map((cells) => `${cells.map(cellText).join(',')}\r\n`).join('')
}

/** Without the noise of binary fractions. */
function rounded(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Number(value.toFixed(6))
}

function cellText(value: unknown): string {
  const text = value == null ? '' : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

export function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 1_000)
}
