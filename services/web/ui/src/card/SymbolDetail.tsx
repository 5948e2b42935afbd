// What opens under a row: the larger chart, and every field of the quote with its meaning.

import type { Quote, SymbolStatus } from '@ibstream/client'
import { CandleChart } from './CandleChart'
import { ageOf, alsoType, sourceOf } from './health'
import { useBeat, useCard } from './hooks'
import { Facts, GenericFacts, GreeksTable } from './MoreFacts'
import { MarkList } from './QualityMark'
import { SourceBadge, StateBadge } from './QuoteRow'
import styles from './SymbolDetail.module.css'
import { fill, word } from './strings'

interface SymbolDetailProps {
  symbol: string
  quote: Quote | undefined
  planned: SymbolStatus | undefined
  state: string
  decimals: number
}

export function SymbolDetail({ symbol, quote, planned, state, decimals }: SymbolDetailProps) {
  const { strings, format, memory } = useCard()
  const { detail } = strings
  const price = (value: number | null | undefined) => format.price(value, decimals)
  const sized = (value: number | null | undefined, size: number | null | undefined) =>
    value != null && size != null
      ? fill(detail.times, { price: price(value), size: format.size(size) })
      : price(value)
  const spread = quote?.bid != null && quote.ask != null ? quote.ask - quote.bid : undefined
  const reason = planned?.reason ?? quote?.reason
  const facts: [string, string][] = [
    [detail.bid, sized(quote?.bid, quote?.bid_size)],
    [detail.ask, sized(quote?.ask, quote?.ask_size)],
    [detail.spread, price(spread)],
    [detail.last, sized(quote?.last, quote?.last_size)],
    [detail.open, price(quote?.open)],
    [detail.high, price(quote?.high)],
    [detail.low, price(quote?.low)],
    [detail.close, price(quote?.close)],
    [detail.volume, format.size(quote?.volume)],
    [detail.exchange, [quote?.exchange, quote?.currency].filter(Boolean).join(' · ') || strings.none],
    [
      detail.dataType,
      quote?.market_data_type ? word(strings.dataType, quote.market_data_type) : strings.none,
    ],
    [
      detail.exchangeTime,
      quote?.exchange_time ? format.clock(Date.parse(quote.exchange_time)) : strings.none,
    ],
  ]
  return (
    <div className={styles.detail}>
      <CandleChart symbol={symbol} decimals={decimals} memory={memory} />
      <div className={styles.side}>
        <p className={styles.badges}>
          <SourceBadge source={sourceOf(quote)} also={alsoType(quote)} /> <StateBadge state={state} />
          <Received quote={quote} />
        </p>
        {(reason || planned?.message) && (
          <p className={styles.reason}>
            {reason && <strong>{word(strings.reason, reason)}</strong>} {planned?.message}{' '}
            {planned?.code != null && <code>{fill(detail.ibCode, { code: planned.code })}</code>}
          </p>
        )}
        {planned?.marks && planned.marks.length > 0 && <MarkList marks={planned.marks} />}
        <Facts facts={facts} />
        {quote?.greeks && <GreeksTable greeks={quote.greeks} decimals={decimals} />}
        {quote?.generic && <GenericFacts generic={quote.generic} />}
        {planned?.why && (
          <p className={styles.why}>
            {detail.why}: {planned.why}
          </p>
        )}
      </div>
    </div>
  )
}

function Received({ quote }: { quote: Quote | undefined }) {
  const { strings, format } = useCard()
  const beat = useBeat()
  if (!quote?.timestamp) return null
  const age = fill(strings.metric.ago, { age: format.age(ageOf(quote.timestamp, beat)) })
  return (
    <span className={styles.received}>
      {strings.detail.received}: {format.moment(Date.parse(quote.timestamp))} ({age})
    </span>
  )
}
