// One symbol: its row, which renders when its own quote or state changes and its age once a second, and what
// opens under it.

import type { Quote } from '@ibstream/client'
import { memo, useEffect, useLayoutEffect, useRef } from 'react'
import { type ExtraColumn, extraText } from './extraColumns'
import { type Change, changeOf, decimalsOf } from './format'
import { ageOf, alsoType, rowState, STATE_TONE, sourceOf } from './health'
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
  contact,
  open,
  tabbable,
  extras,
  onToggle,
}: QuoteRowProps) {
  const { strings, format } = useCard()
  const { quote, planned, good, state, decimals } = useSymbol(symbol, contact)
  const change = changeOf(quote)
  return (
    <tr
      className={styles.row}
      data-open={open}
      data-state={state}
      data-good={good}
      data-source={sourceOf(quote)}
      data-symbol={symbol}
      aria-rowindex={index + 2}
    >
      <th scope="row" data-column="symbol">
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
        <span className={styles.narrow}>
          <SourceBadge quote={quote} /> <StateBadge state={state} /> <Age quote={quote} />
          <QualityMark marks={planned?.marks} />
        </span>
      </th>
      <td data-column="trend">
        <Sparkline symbol={symbol} />
      </td>
      <td data-column="last" data-numeric="true">
        <LastPrice price={quote?.last} decimals={decimals} distrusted={!good} />
        <span className={styles.narrow}>
          <Percent change={change} />
        </span>
      </td>
      <td data-column="change" data-numeric="true">
        <span className={styles.change} data-direction={change?.direction}>
          {format.signed(change?.value, decimals)}
        </span>
      </td>
      <td data-column="percent" data-numeric="true">
        <Percent change={change} />
      </td>
      <td data-column="bidAsk">
        <BidAsk quote={quote} decimals={decimals} />
      </td>
      <td data-column="volume" data-numeric="true">
        {format.volume(quote?.volume)}
      </td>
      <td data-column="age" data-numeric="true">
        <Age quote={quote} />
      </td>
      <td data-column="source">
        <SourceBadge quote={quote} />
      </td>
      {extras.map((column) => (
        <td key={column.id} data-column={column.id} data-numeric={column.kind !== 'text'} data-extra>
          {(quote && extraText(column, column.value(quote), format, decimals)) || strings.none}
        </td>
      ))}
      <td data-column="quality">
        <QualityMark marks={planned?.marks} />
      </td>
      <td data-column="state">
        <StateBadge
          state={state}
          reason={quote?.stale ? (quote.reason ?? planned?.reason) : planned?.reason}
        />
      </td>
    </tr>
  )
})

interface DetailRowProps {
  symbol: string
  index: number
  columns: number // that the stylesheet shows
  contact: boolean
  measure: (element: HTMLTableRowElement | null) => void
}

export function DetailRow({ symbol, index, columns, contact, measure }: DetailRowProps) {
  const { quote, planned, state, decimals } = useSymbol(symbol, contact)
  return (
    <tr
      ref={measure}
      className={styles.detailRow}
      data-index={index}
      data-detail={symbol}
      aria-rowindex={index + 2}
    >
      <td colSpan={columns} id={detailId(symbol)}>
        <SymbolDetail symbol={symbol} quote={quote} planned={planned} state={state} decimals={decimals} />
      </td>
    </tr>
  )
}

const FLASH_MS = 350

interface LastPriceProps {
  price: number | null | undefined
  decimals: number
  distrusted: boolean
}

/**
 * Tints for a moment when the price moves, outside React's renders. Two repaints and no fade: a hundred rows
 * that fade at once keep a processor busy.
 */
function LastPrice({ price, decimals, distrusted }: LastPriceProps) {
  const { format } = useCard()
  const cell = useRef<HTMLSpanElement>(null)
  const before = useRef(price)
  const fade = useRef<ReturnType<typeof setTimeout>>(undefined)
  useLayoutEffect(() => {
    const old = before.current
    before.current = price
    if (old == null || price == null || price === old || !cell.current) return
    const { dataset } = cell.current
    dataset.moved = price > old ? 'up' : 'down'
    clearTimeout(fade.current)
    fade.current = setTimeout(() => delete dataset.moved, FLASH_MS)
  }, [price])
  useEffect(() => () => clearTimeout(fade.current), [])
  return (
    <span ref={cell} className={styles.last} data-distrusted={distrusted}>
      {format.price(price, decimals)}
    </span>
  )
}

function Percent({ change }: { change: Change | undefined }) {
  const { strings, format } = useCard()
  if (!change) return <span className={styles.change}>{strings.none}</span>
  const arrow = { up: '▲', down: '▼', unchanged: '' }[change.direction]
  return (
    <span className={styles.change} data-direction={change.direction}>
      <span className={styles.triangle} aria-hidden="true">
        {arrow}
      </span>
      {format.percent(change.percent)}%
    </span>
  )
}

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

function Age({ quote }: { quote: Quote | undefined }) {
  const { strings, format } = useCard()
  const beat = useBeat()
  if (!quote?.timestamp) return <span className={styles.muted}>{strings.none}</span>
  return <span className={styles.age}>{format.age(ageOf(quote.timestamp, beat))}</span>
}

export function SourceBadge({ quote }: { quote: Quote | undefined }) {
  const { strings } = useCard()
  const source = sourceOf(quote)
  const also = alsoType(quote)
  return (
    <span className={styles.source} data-source={source} title={strings.sourceHelp[source]}>
      {strings.source[source]}
      {also && ` · ${strings.source[also]}`}
    </span>
  )
}

export function StateBadge({ state, reason }: { state: string; reason?: string | null }) {
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
}
