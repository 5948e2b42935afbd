// Prices that refuse to be old, for browsers and Node.
//
//   const client = connect('http://host:8765', { token })
//   const quote = await client.price('SPY', { maxAge: 2, sources: ['ib_stream'] })  // a quote, or an error that says why
//   for await (const quote of client.quotes('SPY', 'QQQ')) ...                      // comes once more, stale, when over
//
// `createApi`, `openConnection` and `ServerClock` are what it is made of, for programs that keep a view of their own.

import type { Quote, Status, SymbolQuality } from './types.js'

export { type Api, type ApiOptions, createApi } from './api.js'
export { Client, connect } from './client.js'
export { type Reading, ServerClock } from './clock.js'
export {
  type Connection,
  type ConnectionOptions,
  type ConnectionState,
  openConnection,
} from './connection.js'
export {
  ApiError,
  CommandRefused,
  IbstreamError,
  InvalidAddress,
  StalePrice,
  StreamStopped,
  UnknownSymbol,
  Unreachable,
} from './errors.js'
export { expired, isGood, moment, refusal, type Wishes } from './rule.js'
export type * from './types.js'

export type PriceSource = NonNullable<Quote['source']>
export type MarketDataType = NonNullable<Quote['market_data_type']>
export type StatusWord = Status['status']
export type Mark = NonNullable<SymbolQuality['marks']>[number]
