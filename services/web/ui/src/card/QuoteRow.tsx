// One symbol: renders when its own quote or state changes, and its age once a second.

import { memo, useEffect, useLayoutEffect, useRef } from 'react'
import { type Change, changeOf, decimalsOf } from './format'
import { ageOf, alsoType, rowState, STATE_TONE, sourceOf } from './health'
import { useBeat, useCard, useStore } from './hooks'
import { ToneIcon } from './Icon'
import styles from './QuoteTable.module.css'
import { Sparkline } from './Sparkline'
import { SymbolDetail } from './SymbolDetail'
import { fill, word } from './strings'
import type { Quote } from './types'

interface QuoteRowProps {
  symbol: string
  columns: number
  contact: boolean
  open: boolean
  onToggle(symbol: string): void
}

export const QuoteRow = memo(function QuoteRow({ symbol, columns, contact, open, onToggle }: QuoteRowProps) {
  const { strings, format } = useCard()
  const quote = useStore(`quote:${symbol}`, (store) => store.quote(symbol))
  const planned = useStore(`state:${symbol}`, (store) => store.state(symbol))
  const state = rowState(planned, quote, contact)
  const source = sourceOf(quote)
  const decimals = decimalsOf(quote)
  const change = changeOf(quote)
  const detailId = `ibs-detail-${symbol}`
  return (
    <>
      <tr
        className={styles.row}
        data-open={open}
        data-state={state}
        data-source={source}
        data-symbol={symbol}
      >
        <th scope="row" data-column="symbol">
          <button
            type="button"
            className={styles.symbol}
            aria-expanded={open}
            aria-controls={open ? detailId : undefined}
            aria-label={fill(open ? strings.table.collapse : strings.table.expand, { symbol })}
            onClick={() => onToggle(symbol)}
          >
            <span className={styles.chevron} aria-hidden="true" />
            {symbol}
          </button>
          <span className={styles.narrow}>
            <SourceBadge quote={quote} /> <StateBadge state={state} /> <Age quote={quote} />
          </span>
        </th>
        <td data-column="trend">
          <Sparkline symbol={symbol} />
        </td>
        <td data-column="last" data-numeric="true">
          <LastPrice price={quote?.last} decimals={decimals} distrusted={!contact || quote?.stale === true} />
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
        <td data-column="state">
          <StateBadge state={state} reason={planned?.reason ?? (quote?.stale ? quote.reason : null)} />
        </td>
      </tr>
      {open && (
        <tr className={styles.detailRow}>
          <td colSpan={columns} id={detailId}>
            <SymbolDetail symbol={symbol} quote={quote} state={planned} decimals={decimals} />
          </td>
        </tr>
      )}
    </>
  )
})

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
  const why = reason && state !== 'away' ? word(strings.reason, reason) : ''
  return (
    <span className={styles.state} data-tone={tone} title={why || word(strings.stateHelp, state)}>
      <ToneIcon tone={tone} size={11} />
      {word(strings.state, state)}
      {why && <span className={styles.why}>{why}</span>}
    </span>
  )
}
