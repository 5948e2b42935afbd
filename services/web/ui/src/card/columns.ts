// The quote table's columns: how each sorts, and what its header says. Ids are the columns' names in the
// stylesheet, which hides some on a narrow card.

import type { Mark, Quote } from '@ibstream/client'
import {
  type ColumnDef,
  createColumnHelper,
  createSortedRowModel,
  rowSortingFeature,
  tableFeatures,
} from '@tanstack/react-table'
import type { CSSProperties } from 'react'
import { EXTRAS, type ExtraColumn } from './extraColumns'
import { changeOf } from './format'
import { sourceOf } from './health'
import { SERIES_MINUTES } from './series'
import { fill, type Strings, word } from './strings'

export interface RowData {
  symbol: string
  quote: Quote | undefined
  state: string
  groups: readonly string[]
  /** What to look at in the symbol's data of today; undefined: nobody has looked. */
  marks: readonly Mark[] | undefined
}

export const features = tableFeatures({ rowSortingFeature, sortedRowModel: createSortedRowModel() })
const column = createColumnHelper<typeof features, RowData>()
const byText = { sortFn: textOrder, sortUndefined: 'last' } as const
const byNumber = { sortFn: numberOrder, sortUndefined: 'last', sortDescFirst: true } as const

const own = column.columns([
  column.accessor('symbol', { id: 'symbol', ...byText }),
  column.display({ id: 'trend' }),
  column.accessor((row) => row.quote?.last ?? undefined, { id: 'last', ...byNumber }),
  column.accessor((row) => changeOf(row.quote)?.value, { id: 'change', ...byNumber }),
  column.accessor((row) => changeOf(row.quote)?.percent, { id: 'percent', ...byNumber }),
  column.accessor((row) => row.quote?.bid ?? undefined, { id: 'bidAsk', ...byNumber }),
  column.accessor((row) => row.quote?.volume ?? undefined, { id: 'volume', ...byNumber }),
  column.accessor((row) => timeOf(row.quote), {
    id: 'age',
    ...byNumber,
    invertSorting: true,
    sortDescFirst: false,
  }),
  column.accessor((row) => sourceOf(row.quote), { id: 'source', ...byText }),
])
const last = column.columns([
  column.accessor((row) => row.marks?.length, { id: 'quality', ...byNumber }),
  column.accessor('state', { id: 'state', ...byText }),
])

/** The table's columns, with those that a person added. */
export function columnsWith(extras: readonly ExtraColumn[]): ColumnDef<typeof features, RowData, unknown>[] {
  const added = extras.map(({ id, kind, value }) =>
    column.accessor((row) => (row.quote && value(row.quote)) ?? undefined, {
      id,
      ...(kind === 'text' ? byText : byNumber),
    }),
  )
  return [...own, ...column.columns(added), ...last]
}

/** The table's columns, less those that a person may add. */
export const ALL: readonly string[] = [...own, ...last].map((col) => String(col.id))

/** Columns that a person may leave out. */
export const OPTIONAL = [
  'trend',
  'change',
  'percent',
  'bidAsk',
  'volume',
  'age',
  'source',
  'quality',
] as const

/** The first words of what planned a symbol: `benchmark; decision_snapshot 12, rank 3` has two. */
export function groupsOf(why: string | null | undefined): string[] {
  return (why ?? '')
    .split(';')
    .map((reason) => reason.trim().split(/[ ,]/)[0] ?? '')
    .filter(Boolean)
}

/** Columns that can be sorted by. */
export const SORTABLE: readonly string[] = [...own, ...last]
  .filter((col) => 'accessorKey' in col || 'accessorFn' in col)
  .map((col) => String(col.id))
export const NUMERIC: ReadonlySet<string> = new Set([
  'last',
  'change',
  'percent',
  'volume',
  'age',
  ...EXTRAS.filter(({ kind }) => kind !== 'text').map(({ id }) => id),
])

const WIDTHS: Record<string, number> = {
  symbol: 118, // less what stands before a row
  trend: 112,
  last: 98,
  change: 84,
  percent: 94,
  bidAsk: 268,
  volume: 84,
  age: 74,
  source: 102,
  quality: 66,
  local_symbol: 170,
}
const ADDED_PX = 96

/** For the stylesheet: what these columns have together, in pixels, where it says nothing else. The last one (`state`)
 * takes what is left. */
export function widths(name: '--width' | '--added', ids: readonly string[]): CSSProperties {
  return { [name]: `${ids.reduce((sum, id) => sum + (WIDTHS[id] ?? ADDED_PX), 0)}px` } as CSSProperties
}

export function headerText(id: string, strings: Strings): string {
  if (id === 'trend') return fill(strings.table.trend, { minutes: SERIES_MINUTES })
  if (EXTRAS.some((extra) => extra.id === id)) return word({ ...strings.detail, ...strings.more }, id)
  return word(strings.table, id)
}

type Comparable = { getValue<V>(id: string): V }

function textOrder(a: Comparable, b: Comparable, id: string): number {
  const [x, y] = [a.getValue<string>(id), b.getValue<string>(id)]
  return x < y ? -1 : x > y ? 1 : 0
}

function numberOrder(a: Comparable, b: Comparable, id: string): number {
  return a.getValue<number>(id) - b.getValue<number>(id)
}

function timeOf(quote: Quote | undefined): number | undefined {
  return quote?.timestamp ? Date.parse(quote.timestamp) : undefined
}
