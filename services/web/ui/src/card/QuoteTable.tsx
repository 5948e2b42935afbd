// The quotes. The table itself renders once a second, to sort and count; each row follows its own symbol.

import {
  createColumnHelper,
  createSortedRowModel,
  rowSortingFeature,
  type SortingState,
  tableFeatures,
  useTable,
} from '@tanstack/react-table'
import { type RefObject, useCallback, useEffect, useId, useMemo, useRef, useState } from 'react'
import { changeOf } from './format'
import { rowState, sourceOf } from './health'
import { useBeat, useCard, useHealth, useStore } from './hooks'
import { QuoteRow } from './QuoteRow'
import styles from './QuoteTable.module.css'
import { SERIES_MINUTES } from './series'
import { fill, type Strings, word } from './strings'
import type { Quote } from './types'

interface RowData {
  symbol: string
  quote: Quote | undefined
  state: string
}

const features = tableFeatures({ rowSortingFeature, sortedRowModel: createSortedRowModel() })
const column = createColumnHelper<typeof features, RowData>()
const byText = { sortFn: textOrder, sortUndefined: 'last' } as const
const byNumber = { sortFn: numberOrder, sortUndefined: 'last', sortDescFirst: true } as const

/** Ids are the columns' names in the stylesheet, which hides some on a narrow card. */
const columns = column.columns([
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
  column.accessor('state', { id: 'state', ...byText }),
])

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

const NUMERIC = new Set(['last', 'change', 'percent', 'volume', 'age'])

function headerText(id: string, strings: Strings): string {
  if (id === 'trend') return fill(strings.table.trend, { minutes: SERIES_MINUTES })
  return word(strings.table, id)
}

export function QuoteTable() {
  const { store, strings, format } = useCard()
  const symbols = useStore('symbols', (s) => s.symbols)
  const loaded = useStore('symbols', (s) => s.loaded)
  const running = useStore('status', (s) => s.status !== undefined && s.status.status !== 'stopped')
  const health = useHealth()
  const contact = health !== 'away' && health !== 'denied'
  const beat = useBeat()
  const [filter, setFilter] = useState('')
  const [only, setOnly] = useState<string>()
  const [sorting, setSorting] = useState<SortingState>([])
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set())

  // biome-ignore lint/correctness/useExhaustiveDependencies: the beat is what makes the rows new
  const rows = useMemo<RowData[]>(
    () =>
      symbols.map((symbol) => ({
        symbol,
        quote: store.quote(symbol),
        state: rowState(store.state(symbol), store.quote(symbol), contact),
      })),
    [store, symbols, beat, contact],
  )
  const counts = countStates(rows)
  const wanted = filter.trim().toUpperCase()
  const state = only !== undefined && counts.has(only) ? only : undefined
  const data = useMemo(
    () => rows.filter((row) => row.symbol.includes(wanted) && (state === undefined || row.state === state)),
    [rows, wanted, state],
  )
  const table = useTable({
    features,
    columns,
    data,
    state: { sorting },
    onSortingChange: setSorting,
    getRowId: (row) => row.symbol,
  })
  const toggle = useCallback(
    (symbol: string) =>
      setOpen((before) => {
        const after = new Set(before)
        if (!after.delete(symbol)) after.add(symbol)
        return after
      }),
    [],
  )
  const element = useRef<HTMLTableElement>(null)
  const visible = useVisibleColumns(element)
  const headers = table.getHeaderGroups()[0]?.headers ?? []

  return (
    <div className={styles.quotes} data-contact={contact}>
      <div className={styles.toolbar}>
        <Filter value={filter} onChange={setFilter} />
        <StateChips counts={counts} total={rows.length} only={state} onChange={setOnly} />
        <SortSelect sorting={sorting} onChange={setSorting} />
        {data.length < rows.length && (
          <span className={styles.showing}>
            {fill(strings.table.showing, {
              shown: format.count(data.length),
              total: format.count(rows.length),
            })}
          </span>
        )}
      </div>
      <table ref={element} className={styles.table}>
        <caption className={styles.srOnly}>{strings.table.caption}</caption>
        <thead>
          <tr>
            {headers.map(({ column: header }) => {
              const { id } = header
              const sorted = header.getIsSorted()
              const text = headerText(id, strings)
              return (
                <th
                  key={id}
                  scope="col"
                  data-column={id}
                  data-numeric={NUMERIC.has(id)}
                  aria-sort={sorted === 'asc' ? 'ascending' : sorted === 'desc' ? 'descending' : undefined}
                >
                  {header.getCanSort() ? (
                    <button type="button" onClick={header.getToggleSortingHandler()}>
                      {text}
                      <span className={styles.arrow} aria-hidden="true">
                        {sorted === 'asc' ? '▲' : sorted === 'desc' ? '▼' : ''}
                      </span>
                    </button>
                  ) : (
                    text
                  )}
                </th>
              )
            })}
          </tr>
        </thead>
        <tbody>
          {table.getRowModel().rows.map((row) => (
            <QuoteRow
              key={row.id}
              symbol={row.id}
              columns={visible}
              contact={contact}
              open={open.has(row.id)}
              onToggle={toggle}
            />
          ))}
        </tbody>
      </table>
      {data.length === 0 && (
        <p className={styles.empty}>
          {rows.length > 0
            ? strings.table.noMatch
            : running || !loaded
              ? strings.table.emptyRunning
              : strings.table.empty}
        </p>
      )}
    </div>
  )
}

/** How many columns the stylesheet shows: a cell that spans more would make room for the hidden ones. */
function useVisibleColumns(table: RefObject<HTMLTableElement | null>): number {
  const [visible, setVisible] = useState<number>(columns.length)
  useEffect(() => {
    if (!table.current || typeof ResizeObserver === 'undefined') return
    const observer = new ResizeObserver(([entry]) => {
      const headers = [...(entry?.target.querySelectorAll<HTMLElement>('thead th') ?? [])]
      setVisible(headers.filter((header) => header.offsetWidth > 0).length || columns.length)
    })
    observer.observe(table.current)
    return () => observer.disconnect()
  }, [table])
  return visible
}

function countStates(rows: readonly RowData[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { state } of rows) counts.set(state, (counts.get(state) ?? 0) + 1)
  return new Map([...counts].sort(([, a], [, b]) => b - a))
}

function Filter({ value, onChange }: { value: string; onChange(value: string): void }) {
  const { strings } = useCard()
  return (
    <span className={styles.filter}>
      <svg width="14" height="14" viewBox="0 0 16 16" aria-hidden="true">
        <circle cx="7" cy="7" r="4.6" fill="none" stroke="currentColor" strokeWidth="1.6" />
        <path d="m10.5 10.5 4 4" stroke="currentColor" strokeWidth="1.6" />
      </svg>
      <input
        type="text"
        value={value}
        aria-label={strings.table.filter}
        placeholder={strings.table.filter}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => event.key === 'Escape' && onChange('')}
      />
      {value && (
        <button type="button" aria-label={strings.table.clearFilter} onClick={() => onChange('')}>
          ×
        </button>
      )}
    </span>
  )
}

interface StateChipsProps {
  counts: Map<string, number>
  total: number
  only: string | undefined
  onChange(state: string | undefined): void
}

function StateChips({ counts, total, only, onChange }: StateChipsProps) {
  const { strings, format } = useCard()
  if (counts.size === 0) return null
  return (
    <fieldset className={styles.chips}>
      <legend className={styles.srOnly}>{strings.table.stateFilter}</legend>
      <button type="button" aria-pressed={only === undefined} onClick={() => onChange(undefined)}>
        {strings.table.all} <b>{format.count(total)}</b>
      </button>
      {[...counts].map(([state, count]) => (
        <button
          key={state}
          type="button"
          aria-pressed={only === state}
          onClick={() => onChange(only === state ? undefined : state)}
        >
          {word(strings.state, state)} <b>{format.count(count)}</b>
        </button>
      ))}
    </fieldset>
  )
}

/** On a narrow card most headers are hidden: the same sorting from a list. */
function SortSelect({ sorting, onChange }: { sorting: SortingState; onChange(sorting: SortingState): void }) {
  const { strings } = useCard()
  const id = useId()
  const first = sorting[0]
  const sortable = columns
    .filter((col) => 'accessorKey' in col || 'accessorFn' in col)
    .map((col) => String(col.id))
  return (
    <span className={styles.sortSelect}>
      <label htmlFor={id}>{strings.table.sortBy}</label>
      <select
        id={id}
        value={first?.id ?? ''}
        onChange={(event) => {
          const chosen = event.target.value
          const desc = NUMERIC.has(chosen) && chosen !== 'age'
          onChange(chosen ? [{ id: chosen, desc }] : [])
        }}
      >
        <option value="">{strings.table.planOrder}</option>
        {sortable.map((name) => (
          <option key={name} value={name}>
            {headerText(name, strings)}
          </option>
        ))}
      </select>
    </span>
  )
}
