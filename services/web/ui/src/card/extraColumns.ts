// Columns that a person may add to the table: whatever else a quote carries, by what it is about. Each says where its
// value stands in a quote, and what kind of number it is. Ids are the fields' own names, in the file of what is shown too.

import type { Computation, GenericTicks, Quote } from '@ibstream/client'
import type { Format } from './format'

export type Value = number | string
type Kind = 'price' | 'number' | 'percent' | 'greek' | 'text'

export interface ExtraColumn {
  id: string
  group: ExtraGroup
  kind: Kind
  value(quote: Quote): Value | null | undefined
}

export const EXTRA_GROUPS = ['day', 'contract', 'greeks', 'generic'] as const
export type ExtraGroup = (typeof EXTRA_GROUPS)[number]

export const EXTRAS: readonly ExtraColumn[] = [
  ...(['open', 'high', 'low', 'close'] as const).map((id) => ofQuote(id, 'day', 'price')),
  {
    id: 'spread',
    group: 'day',
    kind: 'price',
    value: ({ bid, ask }) => (bid != null && ask != null ? Number((ask - bid).toFixed(10)) : undefined),
  },
  ...(['bid_size', 'ask_size', 'last_size'] as const).map((id) => ofQuote(id, 'day', 'number')),
  ...(['local_symbol', 'contract_month', 'exchange', 'currency'] as const).map((id) =>
    ofQuote(id, 'contract', 'text'),
  ),
  ofQuote('multiplier', 'contract', 'number'),
  ofGreeks('implied_volatility', 'percent'),
  ...(['delta', 'gamma', 'vega', 'theta'] as const).map((id) => ofGreeks(id, 'greek')),
  ofGreeks('underlying', 'price'),
  ofGeneric('mark_price', 'price'),
  generic('vwap', 'price', (ticks) => ticks.rt_volume?.vwap ?? ticks.rt_trade_volume?.vwap),
  ...(['trade_count', 'trade_rate', 'volume_rate'] as const).map((id) => ofGeneric(id, 'number')),
  ofGeneric('last_rth_trade', 'price'),
  ...(['low_52_week', 'high_52_week'] as const).map((id) => ofGeneric(id, 'price')),
  ofGeneric('shortable_shares', 'number'),
  ...(['option_call_volume', 'option_put_volume', 'option_call_open_interest'] as const).map((id) =>
    ofGeneric(id, 'number'),
  ),
  ofGeneric('option_put_open_interest', 'number'),
  ...(['option_implied_vol', 'option_historical_vol'] as const).map((id) => ofGeneric(id, 'percent')),
  ofGeneric('futures_open_interest', 'number'),
  ofGeneric('auction_price', 'price'),
  ...(['auction_volume', 'auction_imbalance'] as const).map((id) => ofGeneric(id, 'number')),
  ofGeneric('etf_nav_last', 'price'),
  generic('dividend_date', 'text', (ticks) => ticks.dividends?.next_date),
  generic('dividend_amount', 'price', (ticks) => ticks.dividends?.next_amount),
]

/** The columns of these ids, in the order in which they stand in the table. */
export function extrasOf(ids: readonly string[]): ExtraColumn[] {
  return EXTRAS.filter((column) => ids.includes(column.id))
}

export function extraText(
  { kind }: ExtraColumn,
  value: Value | null | undefined,
  format: Format,
  decimals: number,
): string {
  if (typeof value === 'string') return value
  if (kind === 'price') return format.price(value, decimals)
  if (kind === 'greek') return format.price(value, 4)
  if (kind === 'percent') return value == null ? format.price(value) : `${format.price(value * 100, 1)} %`
  return format.volume(value)
}

/** By what the option's model says; where IB sent none, by its last trade, or by the middle of bid and ask. */
function greek(quote: Quote, name: keyof Computation): number | undefined {
  const { model, last, bid, ask } = quote.greeks ?? {}
  const said = model?.[name] ?? last?.[name]
  if (said != null) return said
  const [low, high] = [bid?.[name], ask?.[name]]
  return low != null && high != null ? (low + high) / 2 : undefined
}

function ofQuote(id: keyof Quote, group: ExtraGroup, kind: Kind): ExtraColumn {
  return { id, group, kind, value: (quote) => quote[id] as Value | null | undefined }
}

function ofGreeks(id: keyof Computation, kind: Kind): ExtraColumn {
  return { id, group: 'greeks', kind, value: (quote) => greek(quote, id) }
}

function generic(
  id: string,
  kind: Kind,
  value: (ticks: GenericTicks) => Value | null | undefined,
): ExtraColumn {
  return { id, group: 'generic', kind, value: ({ generic: ticks }) => ticks && value(ticks) }
}

function ofGeneric(id: keyof GenericTicks, kind: Kind): ExtraColumn {
  return generic(id, kind, (ticks) => ticks[id] as Value | null | undefined)
}
