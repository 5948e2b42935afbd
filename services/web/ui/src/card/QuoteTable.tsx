// The quotes. The table itself renders once a second, to sort and count; each row follows its own symbol, and
// only rows in sight are there. Arrow keys walk from row to row, so that the table is one stop of the Tab key.
// biome-ignore-all lint/a11y/noRedundantRoles: a table that is laid out as boxes is a table by its roles

import { type SortingState, useTable } from '@tanstack/react-table'
import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from 'react'
import {
  ALL,
  columnsWith,
  features,
  groupsOf,
  headerText,
  NUMERIC,
  OPTIONAL,
  type RowData,
  SORTABLE,
  widths,
} from './columns'
import { csvOf, download } from './csv'
import { EXTRAS, type ExtraColumn, extrasOf } from './extraColumns'
import { rowState } from './health'
import { useBeat, useCard, useHealth, useStore } from './hooks'
import { type Memory, useRemembered } from './memory'
import { DetailRow, QuoteRow } from './QuoteRow'
import styles from './QuoteTable.module.css'
import shared from './shared.module.css'
import { fill } from './strings'
import { Actions, ColumnMenu, Filter, GroupSelect, SortSelect, StateChips } from './TableTools'
import { useOpenSymbols } from './useOpenSymbols'
import { type RowFocus, useRowFocus } from './useRowFocus'
import { type RowItem, useDrawnRows } from './virtualRows'

export interface QuoteTableProps {
  memory: Memory | undefined
  symbol: string | undefined
  onSymbol: ((symbol: string | undefined) => void) | undefined
}

const ROW_PX = 34

export function QuoteTable({ memory, symbol: linked, onSymbol }: QuoteTableProps) {
  const { store, strings, format } = useCard()
  const health = useHealth()
  const contact = health !== 'away' && health !== 'denied'
  const rows = useRows(contact)
  const [filter, setFilter] = useState('')
  const [only, setOnly] = useRemembered(memory, 'state', asState, null)
  const [sorting, setSorting] = useRemembered(memory, 'sort', asSorting, [])
  const [compact, setCompact] = useRemembered(memory, 'compact', asFlag, false)
  const [hidden, setHidden] = useRemembered(memory, 'hidden', asHidden, [])
  const [added, setAdded] = useRemembered(memory, 'columns', asAdded, [])
  const extras = useMemo(() => extrasOf(added), [added])
  const columns = useMemo(() => columnsWith(extras), [extras])
  const [chosenGroup, setGroup] = useRemembered(memory, 'group', asState, null)
  const groups = useMemo(() => [...new Set(rows.flatMap((row) => row.groups))].sort(), [rows])
  const group = chosenGroup !== null && groups.includes(chosenGroup) ? chosenGroup : undefined
  const inGroup = useMemo(
    () => (group === undefined ? rows : rows.filter((row) => row.groups.includes(group))),
    [rows, group],
  )
  const counts = countStates(inGroup)
  const wanted = filter.trim().toUpperCase()
  const state = only !== null && counts.has(only) ? only : undefined
  const data = useMemo(
    () =>
      inGroup.filter((row) => row.symbol.includes(wanted) && (state === undefined || row.state === state)),
    [inGroup, wanted, state],
  )
  const table = useTable({
    features,
    columns,
    data,
    state: { sorting },
    onSortingChange: (next) => setSorting(typeof next === 'function' ? next(sorting) : next),
    getRowId: (row) => row.symbol,
  })
  const shown = table.getRowModel().rows
  const order = shown.map((row) => row.id)

  const element = useRef<HTMLTableElement>(null)
  const body = useRef<HTMLTableSectionElement>(null)
  const { shows, rowPx } = useLayout(element, `${compact} ${hidden} ${added}`, rows.length > 0)
  const focus = useRowFocus(body, order, rowPx)
  const { open, toggle } = useOpenSymbols(linked, onSymbol, rows, (symbol) => {
    setFilter('')
    setOnly(null)
    setGroup(null)
    focus.reveal(symbol)
  })
  const items = itemsOf(order, open)
  const save = () => {
    const text = csvOf(
      shown.map((row) => row.original),
      extras,
      (symbol) => (contact ? store.goodUntil(symbol) : 0),
      store.now(),
    )
    download(
      `ibstream-quotes-${new Date(store.now()).toISOString().slice(0, 19).replaceAll(':', '')}Z.csv`,
      text,
    )
  }
  const headers = table.getHeaderGroups()[0]?.headers ?? []

  return (
    <div
      className={styles.quotes}
      data-contact={contact}
      data-density={compact ? 'compact' : undefined}
      data-hidden={hidden.join(' ') || undefined}
    >
      <div className={styles.toolbar}>
        <Filter value={filter} onChange={setFilter} />
        <StateChips
          counts={counts}
          total={inGroup.length}
          only={state}
          onChange={(next) => setOnly(next ?? null)}
        />
        <GroupSelect groups={groups} group={group} onChange={(next) => setGroup(next ?? null)} />
        <SortSelect sorting={sorting} added={added} onChange={setSorting} />
        {data.length < rows.length && (
          <span className={styles.showing}>
            {fill(strings.table.showing, {
              shown: format.count(data.length),
              total: format.count(rows.length),
            })}
          </span>
        )}
        <ColumnMenu hidden={hidden} onChange={setHidden} added={added} onAdd={setAdded} />
        <Actions compact={compact} onCompact={setCompact} onSave={data.length > 0 ? save : undefined} />
      </div>
      <div className={styles.box} data-wide={extras.length > 0} style={widths('--added', added)}>
        <table ref={element} role="table" className={styles.table} aria-rowcount={items.length + 1}>
          <caption className={shared.srOnly}>{strings.table.caption}</caption>
          <thead role="rowgroup">
            <tr role="row" aria-rowindex={1}>
              {headers.map(({ column: header }) => {
                const { id } = header
                const sorted = header.getIsSorted()
                const text = headerText(id, strings)
                return (
                  <th
                    key={id}
                    scope="col"
                    role="columnheader"
                    data-column={id}
                    data-numeric={NUMERIC.has(id)}
                    style={id === 'state' ? undefined : widths('--width', [id])}
                    data-extra={EXTRAS.some((extra) => extra.id === id) || undefined}
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
          <Rows
            body={body}
            items={items}
            open={open}
            focus={focus}
            rowPx={rowPx}
            shows={shows}
            contact={contact}
            extras={extras}
            onToggle={toggle}
          />
        </table>
      </div>
      {data.length === 0 && <Empty filtered={rows.length > 0} />}
    </div>
  )
}

interface RowsProps {
  body: RefObject<HTMLTableSectionElement | null>
  items: readonly RowItem[]
  open: ReadonlySet<string>
  focus: RowFocus
  rowPx: number
  shows: ReadonlySet<string>
  contact: boolean
  extras: readonly ExtraColumn[]
  onToggle(symbol: string): void
}

/** The rows in sight: a component of its own, so that scrolling renders nothing else. */
function Rows({ body, items, open, focus, rowPx, shows, contact, extras, onToggle }: RowsProps) {
  const { store } = useCard()
  const scrolled = useCallback(() => store.scrolled(), [store])
  const kept = items.flatMap((item, index) => (item.symbol === focus.active ? [index] : []))
  const { drawn, height, onHeight } = useDrawnRows(body, items, rowPx, kept, scrolled)
  return (
    <tbody ref={body} role="rowgroup" style={{ height }} {...focus.handlers}>
      {drawn.map(({ slot, index, top, symbol, detail }) =>
        detail ? (
          <DetailRow
            key={slot}
            symbol={symbol}
            index={index}
            top={top}
            columns={shows.size}
            contact={contact}
            onHeight={onHeight}
          />
        ) : (
          <QuoteRow
            key={slot}
            symbol={symbol}
            index={index}
            top={top}
            shows={shows}
            contact={contact}
            open={open.has(symbol)}
            tabbable={symbol === focus.active}
            extras={extras}
            onToggle={onToggle}
          />
        ),
      )}
    </tbody>
  )
}

/** Every symbol's row, new each second. */
function useRows(contact: boolean): RowData[] {
  const { store } = useCard()
  const symbols = useStore('symbols', (s) => s.symbols)
  const beat = useBeat()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the beat is what makes the rows new
  return useMemo(
    () =>
      symbols.map((symbol) => ({
        symbol,
        quote: store.quote(symbol),
        state: rowState(store.state(symbol), store.quote(symbol), contact, store.good(symbol)),
        groups: groupsOf(store.state(symbol)?.why),
        marks: store.state(symbol)?.marks,
      })),
    [store, symbols, beat, contact],
  )
}

function Empty({ filtered }: { filtered: boolean }) {
  const { strings } = useCard()
  const loaded = useStore('symbols', (s) => s.loaded)
  const running = useStore('status', (s) => s.status !== undefined && s.status.status !== 'stopped')
  const { noMatch, emptyRunning, empty } = strings.table
  return <p className={styles.empty}>{filtered ? noMatch : running || !loaded ? emptyRunning : empty}</p>
}

/** A row for each symbol, and one more under each that is open. */
function itemsOf(order: readonly string[], open: ReadonlySet<string>): RowItem[] {
  return order.flatMap((symbol) => {
    const row = { key: symbol, symbol, detail: false }
    return open.has(symbol) ? [row, { key: `${symbol} detail`, symbol, detail: true }] : [row]
  })
}

/** What the stylesheet makes of the table: which columns it shows, and how high a row is. */
function useLayout(
  table: RefObject<HTMLTableElement | null>,
  dress: string, // density and columns
  filled: boolean,
): { shows: ReadonlySet<string>; rowPx: number } {
  const [layout, setLayout] = useState({ shown: ALL.join(' '), rowPx: ROW_PX })
  // biome-ignore lint/correctness/useExhaustiveDependencies: both change what is shown
  useEffect(() => {
    const element = table.current
    if (!element) return
    const look = () => {
      const headers = [...element.querySelectorAll<HTMLElement>(':scope > thead th')]
      const visible = headers.filter((header) => header.offsetWidth > 0)
      const shown = (visible.length > 0 ? visible : headers).map(({ dataset }) => dataset.column).join(' ')
      const rowPx = element.querySelector<HTMLElement>('tr[data-symbol]')?.offsetHeight || ROW_PX
      setLayout((old) => (old.shown === shown && old.rowPx === rowPx ? old : { shown, rowPx }))
    }
    look()
    const observer = new ResizeObserver(look)
    observer.observe(element)
    return () => observer.disconnect()
  }, [table, dress, filled])
  const shows = useMemo(() => new Set(layout.shown.split(' ')), [layout.shown])
  return { shows, rowPx: layout.rowPx }
}

function countStates(rows: readonly RowData[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { state } of rows) counts.set(state, (counts.get(state) ?? 0) + 1)
  return new Map([...counts].sort(([, a], [, b]) => b - a))
}

function asState(kept: unknown): string | undefined {
  return typeof kept === 'string' ? kept : undefined
}

function asHidden(kept: unknown): string[] | undefined {
  return Array.isArray(kept) ? OPTIONAL.filter((id) => kept.includes(id)) : undefined
}

function asAdded(kept: unknown): string[] | undefined {
  return Array.isArray(kept) ? extrasOf(kept).map(({ id }) => id) : undefined
}

function asFlag(kept: unknown): boolean | undefined {
  return typeof kept === 'boolean' ? kept : undefined
}

function asSorting(kept: unknown): SortingState | undefined {
  const [first] = Array.isArray(kept) ? (kept as Partial<SortingState[number]>[]) : []
  if (!first?.id || !(SORTABLE.includes(first.id) || extrasOf([first.id]).length > 0)) return undefined
  return [{ id: first.id, desc: first.desc === true }]
}
