// One symbol: its row, which renders when its own quote or state changes and its age once a second, and what opens under
// it. A row's elements may go from one symbol to another: nothing in it outlives its symbol.
// biome-ignore-all lint/a11y/noRedundantRoles: rows that are laid out as boxes are rows by their roles

import type { Quote } from '@ibstream/client'
import { memo, type ReactNode, useEffect, useLayoutEffect, useRef } from 'react'
import { NUMERIC, widths } from './columns'
import { type ExtraColumn, extraText } from './extraColumns'
import { type Change, changeOf, decimalsOf } from './format'
import { ageOf, alsoType, rowState, type SourceKind, STATE_TONE, sourceOf } from './health'
import { useBeat, useCard, useStore } from './hooks'
import { ToneIcon } from './Icon'
import { QualityMark } from './QualityMark'
import styles from './QuoteTable.module.css'
import { Sparkline } from './Sparkline'
import { SymbolDetail } from './SymbolDetail'
import shared from './shared.module.css'
import { fill, word } from './strings'

interface QuoteRowProps {
  symbol: string
  index: number // among all rows of the table, drawn or not
  top: number // pixels from the top of the table's body
  shows: ReadonlySet<string> // the columns that there is room for
  contact: boolean
  open: boolean
  tabbable: boolean
  extras: readonly ExtraColumn[]
  onToggle(symbol: string): void
}

/** What the row and its detail both show. */
function useSymbol(symbol: string, contact: boolean) {
  const quote = useStore(`quote:${symbol}`, (store) => store.quote(symbol))
  const planned = useStore(`state:${symbol}`, (store) => store.state(symbol))
  const good = useStore(`quote:${symbol}`, (store) => store.good(symbol)) && contact
  const state = rowState(planned, quote, contact, good)
  return { quote, planned, good, state, decimals: decimalsOf(quote) }
}

const detailId = (symbol: string) => `ibs-detail-${symbol}`

export const QuoteRow = memo(function QuoteRow({
  symbol,
  index,
  top,
  shows,
  contact,
  open,
  tabbable,
  extras,
  onToggle,
}: QuoteRowProps) {
  const { strings, format } = useCard()
  const { quote, planned, good, state, decimals } = useSymbol(symbol, contact)
  const change = changeOf(quote)
  const narrow = !shows.has('state')
  const source = <SourceBadge source={sourceOf(quote)} also={alsoType(quote)} />
  const percent = <Percent direction={change?.direction} text={change && format.percent(change.percent)} />
  const marks = <QualityMark marks={planned?.marks} />
  const cell = (id: string, content: ReactNode, extra?: true) =>
    shows.has(id) && (
      <td
        key={id}
        role="cell"
        data-column={id}
        data-numeric={NUMERIC.has(id) || undefined}
        style={id === 'state' ? undefined : widths('--width', [id])}
        data-extra={extra}
      >
        {content}
      </td>
    )
  return (
    <tr
      role="row"
      className={styles.row}
      style={placed(top)}
      data-open={open}
      data-state={state}
      data-good={good}
      data-source={sourceOf(quote)}
      data-symbol={symbol}
      aria-rowindex={index + 2}
    >
      <th scope="row" role="rowheader" data-column="symbol" style={widths('--width', ['symbol'])}>
        <button
          type="button"
          className={styles.symbol}
          aria-expanded={open}
          aria-controls={open ? detailId(symbol) : undefined}
          tabIndex={tabbable ? 0 : -1}
          aria-label={fill(open ? strings.table.collapse : strings.table.expand, { symbol })}
          onClick={() => onToggle(symbol)}
        >
          <span className={styles.chevron} aria-hidden="true" />
          {symbol}
        </button>
        {planned?.held && <span className={styles.held}>{strings.group.held}</span>}
        {narrow && (
          <span className={styles.narrow}>
            {source} <StateBadge state={state} /> <Age timestamp={quote?.timestamp} />
            {marks}
          </span>
        )}
      </th>
      {cell('trend', <Sparkline symbol={symbol} />)}
      {cell(
        'last',
        <>
          <LastPrice
            symbol={symbol}
            price={quote?.last}
            text={format.price(quote?.last, decimals)}
            distrusted={!good}
          />
          {narrow && <span className={styles.narrow}>{percent}</span>}
        </>,
      )}
      {cell(
        'change',
        <span className={styles.change} data-direction={change?.direction}>
          {format.signed(change?.value, decimals)}
        </span>,
      )}
      {cell('percent', percent)}
      {cell('bidAsk', <BidAsk quote={quote} decimals={decimals} />)}
      {cell('volume', format.volume(quote?.volume))}
      {cell('age', <Age timestamp={quote?.timestamp} />)}
      {cell('source', source)}
      {extras.map((column) =>
        cell(
          column.id,
          (quote && extraText(column, column.value(quote), format, decimals)) || strings.none,
          true,
        ),
      )}
      {cell('quality', marks)}
      {cell(
        'state',
        <StateBadge
          state={state}
          reason={quote?.stale ? (quote.reason ?? planned?.reason) : planned?.reason}
        />,
      )}
    </tr>
  )
})

const placed = (top: number) => ({ top })

interface DetailRowProps {
  symbol: string
  index: number
  top: number
  columns: number // that there is room for
  contact: boolean
  onHeight(symbol: string, px: number): void
}

export function DetailRow({ symbol, index, top, columns, contact, onHeight }: DetailRowProps) {
  const element = useRef<HTMLTableRowElement>(null)
  const { quote, planned, state, decimals } = useSymbol(symbol, contact)
  useLayoutEffect(() => {
    const row = element.current
    if (!row) return
    const tell = () => onHeight(symbol, row.offsetHeight)
    tell()
    const observer = new ResizeObserver(tell)
    observer.observe(row)
    return () => observer.disconnect()
  }, [symbol, onHeight])
  return (
    <tr
      ref={element}
      role="row"
      className={styles.detailRow}
      style={placed(top)}
      data-detail={symbol}
      aria-rowindex={index + 2}
    >
      <td role="cell" colSpan={columns} id={detailId(symbol)}>
        <SymbolDetail symbol={symbol} quote={quote} planned={planned} state={state} decimals={decimals} />
      </td>
    </tr>
  )
}

const FLASH_MS = 350

interface LastPriceProps {
  symbol: string
  price: number | null | undefined
  text: string
  distrusted: boolean
}

/**
 * Tints for a moment when the symbol's price moves, outside React's renders. Two repaints and no fade: a hundred rows
 * that fade at once keep a processor busy.
 */
const LastPrice = memo(function LastPrice({ symbol, price, text, distrusted }: LastPriceProps) {
  const cell = useRef<HTMLSpanElement>(null)
  const before = useRef({ symbol, price })
  const fade = useRef<ReturnType<typeof setTimeout>>(undefined)
  useLayoutEffect(() => {
    const old = before.current
    before.current = { symbol, price }
    if (!cell.current) return
    const { dataset } = cell.current
    if (old.symbol !== symbol) delete dataset.moved
    else if (old.price != null && price != null && price !== old.price) {
      dataset.moved = price > old.price ? 'up' : 'down'
      clearTimeout(fade.current)
      fade.current = setTimeout(() => delete dataset.moved, FLASH_MS)
    }
  }, [symbol, price])
  useEffect(() => () => clearTimeout(fade.current), [])
  return (
    <span ref={cell} className={styles.last} data-distrusted={distrusted}>
      {text}
    </span>
  )
})

const ARROW = { up: '▲', down: '▼', unchanged: '' }

const Percent = memo(function Percent({
  direction,
  text,
}: {
  direction: Change['direction'] | undefined
  text: string | undefined
}) {
  const { strings } = useCard()
  if (!direction) return <span className={styles.change}>{strings.none}</span>
  return (
    <span className={styles.change} data-direction={direction}>
      <span className={styles.triangle} aria-hidden="true">
        {ARROW[direction]}
      </span>
      {text}%
    </span>
  )
})

function BidAsk({ quote, decimals }: { quote: Quote | undefined; decimals: number }) {
  const { format } = useCard()
  return (
    <span className={styles.bidAsk}>
      <small>{quote?.bid_size == null ? '' : format.size(quote.bid_size)}</small>
      <span>{format.price(quote?.bid, decimals)}</span>
      <i>×</i>
      <span>{format.price(quote?.ask, decimals)}</span>
      <small>{quote?.ask_size == null ? '' : format.size(quote.ask_size)}</small>
    </span>
  )
}

function Age({ timestamp }: { timestamp: string | null | undefined }) {
  const { strings, format } = useCard()
  const beat = useBeat()
  if (!timestamp) return <span className={styles.muted}>{strings.none}</span>
  return <span className={styles.age}>{format.age(ageOf(timestamp, beat))}</span>
}

interface SourceBadgeProps {
  source: SourceKind
  also: ReturnType<typeof alsoType>
}

export const SourceBadge = memo(function SourceBadge({ source, also }: SourceBadgeProps) {
  const { strings } = useCard()
  return (
    <span className={styles.source} data-source={source} title={strings.sourceHelp[source]}>
      {strings.source[source]}
      {also && ` · ${strings.source[also]}`}
    </span>
  )
})

export const StateBadge = memo(function StateBadge({
  state,
  reason,
}: {
  state: string
  reason?: string | null
}) {
  const { strings } = useCard()
  const tone = STATE_TONE[state] ?? 'idle'
  const why = reason && state !== 'away' && state !== 'expired' ? word(strings.reason, reason) : ''
  return (
    <span
      className={`${styles.state} ${shared.tone}`}
      data-tone={tone}
      title={why || word(strings.stateHelp, state)}
    >
      <ToneIcon tone={tone} size={11} />
      {word(strings.state, state)}
      {why && <span className={styles.why}>{why}</span>}
    </span>
  )
})
