// What travels between the web API and its clients. Made from the Python types by services/web/typescript.py: do not
// edit.
// A field that was never received is absent. Times are UTC ISO 8601 (whole numbers: nanoseconds since 1970), prices in
// the quote's currency.

/** Done, and durable; changed is false when it was so already. */
export interface AcceptedView {
  accepted: boolean
  changed: boolean
  seq: number | null
}

/** That a price alert came. */
export interface AlertNotice {
  id: number
  symbol: string
  time: string
  text: string
  value?: number | null
  source?: 'ib_history' | 'ib_snapshot' | 'ib_stream' | 'mock' | null
}

/** Those that are set, by id, and the last that came, the newest first. */
export interface AlertsView {
  alerts: PriceAlert[]
  recent: AlertNotice[]
}

/**
 * A part of an interval in which the symbol's price was not to be trusted, and why: a quote's `reason`, or a
 * gap's.
 */
export interface Blind {
  reason: string
  seconds: number
}

/**
 * What a symbol traded from `start` on and before `end`, by the time at which it was received.
 *
 * Prices in the contract's currency, volume in shares or contracts. A candle without prices says that nothing was
 * seen of an interval in which prices were missing; an interval in which nothing traded, and that was seen whole,
 * has no candle.
 */
export interface Candle {
  symbol: string
  interval: '15m' | '1d' | '1h' | '1m' | '1s' | '5m' | '5s'
  start: string
  end: string
  session?: string | null
  hours?: 'exchange' | 'utc' | null
  open?: number | null
  high?: number | null
  low?: number | null
  close?: number | null
  volume?: number | null
  vwap?: number | null
  trades?: number
  coverage: number
  blind?: Blind[]
  filled?: number
  source?: 'ib_history' | 'ib_snapshot' | 'ib_stream' | 'mock' | null
  market_data_type?: 'delayed' | 'delayed_frozen' | 'frozen' | 'realtime' | null
  rolled?: string | null
  complete: boolean
}

/**
 * `more`: there are later ones in the time that was asked for. `note`: what of it is not there any more. `live`:
 * those of this interval are published, and come in the event stream to whoever asks for them.
 */
export interface CandlesView {
  symbol: string
  interval: '15m' | '1d' | '1h' | '1m' | '1s' | '5m' | '5s'
  candles: Candle[]
  more: boolean
  note: string | null
  live?: boolean
}

/**
 * What IB computes of an option at one price. `implied_volatility` is a year's, as a part of 1; `vega` is for one
 * point of volatility, `theta` for a day, `dividends` the present value of those until the option ends.
 */
export interface Computation {
  implied_volatility?: number | null
  delta?: number | null
  price?: number | null
  dividends?: number | null
  gamma?: number | null
  vega?: number | null
  theta?: number | null
  underlying?: number | null
}

/** A symbol that the plan leaves out of streaming, and why. It is served from snapshots by rotation. */
export interface CutSymbol {
  symbol: string
  reason: string
  priority: number
  contract?: PlannedSymbol | null
  limit?: 'lines' | 'max_symbols'
}

/** Tick 59, generic tick 456: for each share, in the contract's currency. */
export interface Dividends {
  past_12_months?: number | null
  next_12_months?: number | null
  next_date?: string | null
  next_amount?: number | null
}

export interface ErrorBody {
  detail: ErrorDetail
}

/** `field` is the part of the request that caused it, where one did. */
export interface ErrorDetail {
  code: string
  message: string
  field?: string | null
}

/** No streamed prices from start to end; end is null while the gap is open. */
export interface Gap {
  symbol: string
  start: string
  end: string | null
  reason: string
  filled: boolean
}

export interface GapsView {
  gaps: Gap[]
  link: LinkPoint[]
}

/**
 * By the generic tick that brings it (in brackets). Prices in the contract's currency, rates as a part of 1 a
 * year, counts in shares or contracts.
 */
export interface GenericTicks {
  option_call_volume?: number | null
  option_put_volume?: number | null
  option_call_open_interest?: number | null
  option_put_open_interest?: number | null
  option_historical_vol?: number | null
  avg_opt_volume?: number | null
  option_implied_vol?: number | null
  index_future_premium?: number | null
  low_13_week?: number | null
  high_13_week?: number | null
  low_26_week?: number | null
  high_26_week?: number | null
  low_52_week?: number | null
  high_52_week?: number | null
  avg_volume_raw?: number | null
  creditman_mark_price?: number | null
  auction_volume?: number | null
  auction_price?: number | null
  auction_imbalance?: number | null
  regulatory_imbalance?: number | null
  mark_price?: number | null
  rt_volume?: TradeReport | null
  shortable?: number | null
  shortable_shares?: number | null
  fundamentals?: Record<string, number | string> | null
  news?: News | null
  trade_count?: number | null
  trade_rate?: number | null
  volume_rate?: number | null
  last_rth_trade?: number | null
  rt_trade_volume?: TradeReport | null
  rt_historical_vol?: number | null
  dividends?: Dividends | null
  bond_factor_multiplier?: number | null
  etf_nav_bid?: number | null
  etf_nav_ask?: number | null
  etf_nav_last?: number | null
  etf_nav_close?: number | null
  etf_nav_prior_close?: number | null
  etf_nav_high?: number | null
  etf_nav_low?: number | null
  etf_frozen_nav_last?: number | null
  estimated_ipo_midpoint?: number | null
  final_ipo_last?: number | null
  futures_open_interest?: number | null
  short_term_volume_3_min?: number | null
  short_term_volume_5_min?: number | null
  short_term_volume_10_min?: number | null
  creditman_slow_mark_price?: number | null
  odd_lot_bid?: number | null
  odd_lot_ask?: number | null
  odd_lot_bid_size?: number | null
  odd_lot_ask_size?: number | null
  odd_lot_bid_exch?: string | null
  odd_lot_ask_exch?: string | null
  bid_yield?: number | null
  ask_yield?: number | null
  last_yield?: number | null
}

/**
 * An option's computations at its bid, ask and last (ticks 10 to 12, delayed 80 to 82) and by IB's model (13, 83);
 * `custom` (53) answers a question that somebody asked.
 */
export interface Greeks {
  bid?: Computation | null
  ask?: Computation | null
  last?: Computation | null
  model?: Computation | null
  custom?: Computation | null
}

/** Where a writer stands in one of its streams: `durable_seq` is on disk, `seq` is written. */
export interface Head {
  epoch: number
  seq: number
  durable_seq: number
}

export interface HealthView {
  status: string
}

/** A price. Its time is when it was received; its source is null when it is not known. */
export interface HistoryPoint {
  time: string
  price: number
  source: string | null
}

export interface HistoryView {
  symbol: string
  points: HistoryPoint[]
}

/** A gap of the ledger, as far as it lies in the span. Times in UTC ISO 8601 with `Z`. */
export interface Hole {
  start: string
  end?: string | null
  reason: string
  filled_bars?: number | null
}

export interface LastError {
  time: string
  code: number
  name: string
  message: string
  symbol?: string | null
}

/** The status word from that time on. */
export interface LinkPoint {
  time: string
  status: string
  reason: string | null
}

/** Details of the connection to IB, for people. */
export interface LinkStatus {
  phase: string
  reason?: string | null
  detail?: string | null
  endpoint?: string | null
  server_version?: number | null
  expected?: boolean
  since?: string | null
  farms?: Record<string, string>
  clock_skew?: number | null
}

export interface LockOwner {
  owner: string
  since: string
}

/** The newest headline (message 84, generic tick 292). */
export interface News {
  time?: string | null
  provider?: string | null
  article_id?: string | null
  headline?: string | null
}

/** A price that stood far from the one before it and the one after it. Prices as IB sent them. */
export interface Outlier {
  time: string
  field: string
  price: number
  before: number
  after: number
}

/**
 * The current subscription plan: complete each time, so the newest one is all that a consumer needs.
 *
 * It is an event of the stream `plan` (one event a block) and the value of the last-value topic `plan`.
 */
export interface Plan {
  type: 'plan'
  epoch: number
  first_seq: number
  time: number
  started: boolean
  symbols: PlannedSymbol[]
  cut?: CutSymbol[]
  project_id?: number | null
  project_name?: string | null
  decision_snapshot_id?: number | null
  market_data_type?: 'delayed' | 'delayed_frozen' | 'frozen' | 'realtime'
  allow_delayed?: boolean
  problem_code?: string | null
  problem?: string | null
  problem_since?: number | null
  warnings?: string[]
  refresh_token?: number
  answers?: number
  chains?: PlannedChain[]
}

/** Options that follow the price of a planned symbol: so many strikes around it, of the next expiries. */
export interface PlannedChain {
  underlying: string
  strikes: number
  expiries: number
  rights?: string
  generic_ticks?: string
}

/** One symbol of a plan: its contract, why it is there, and how important it is (0 is first). */
export interface PlannedSymbol {
  symbol: string
  reason: string
  priority: number
  sec_type?: string
  exchange?: string
  currency?: string
  primary_exchange?: string
  local_symbol?: string
  last_trade_date?: string
  ib_symbol?: string
  gateway?: string
  home?: string
  generic_ticks?: string
  strike?: number
  right?: string
  trading_class?: string
  con_id?: number
  sec_id?: string
  tick_by_tick?: string
  real_time_bars?: string
  chain?: string
  roll?: '' | 'front' | 'second'
  roll_days?: number
  roll_by?: '' | 'days' | 'volume'
  held?: boolean
}

/** A price alert that is set. */
export interface PriceAlert {
  id: number
  rule: string
  pause: number
  note?: string
  added: string
  count?: number
  last?: AlertNotice | null
}

/** A project that a start may name, with the snapshot that it would stream: the newest usable one. */
export interface ProjectChoice {
  id: number
  name: string
  archived?: boolean
  snapshot?: SnapshotChoice | null
}

/** By id, each with its newest usable snapshot; of very many the newest, and then more is true. */
export interface ProjectsView {
  projects: ProjectChoice[]
  more: boolean
}

/**
 * Of every symbol that ticked, or was planned, from `start` on and before `end`, as far as the journal reached:
 * `until`. Times in UTC ISO 8601 with `Z`.
 */
export interface QualityReport {
  start: string
  end: string
  until: string
  symbols: SymbolQuality[]
}

/**
 * The current quote of one symbol. A field that was never received, or that IB withdrew, is absent.
 *
 * Every field of prices and sizes was brought by `source` at `since` or later; what it did not bring is absent.
 * Prices in `currency`: where IB sends them times a `price_magnifier`, they are divided here. Sizes and
 * volume are shares or contracts, worked out of IB's numbers by their unit (round lots, for one); where that is not
 * known they are absent.
 */
export interface Quote {
  symbol: string
  timestamp?: string | null
  source?: 'ib_history' | 'ib_snapshot' | 'ib_stream' | 'mock' | null
  since?: string | null
  bid?: number | null
  ask?: number | null
  last?: number | null
  close?: number | null
  open?: number | null
  high?: number | null
  low?: number | null
  bid_size?: number | null
  ask_size?: number | null
  last_size?: number | null
  volume?: number | null
  volume_raw?: number | null
  currency?: string | null
  exchange?: string | null
  price_magnifier?: number | null
  multiplier?: number | null
  local_symbol?: string | null
  contract_month?: string | null
  market_data_type?: 'delayed' | 'delayed_frozen' | 'frozen' | 'realtime' | null
  exchange_time?: string | null
  halted?: boolean | null
  stale: boolean
  reason?: string | null
  good_until?: string | null
  epoch: number
  seq: number
  gateway?: string | null
  greeks?: Greeks | null
  generic?: GenericTicks | null
  held?: boolean | null
}

export interface QuotesView {
  quotes: Quote[]
}

export interface ServiceStatus {
  state: 'down' | 'failing' | 'up'
  pid?: number | null
  epoch?: number | null
  head_seq?: number | null
  heads?: Record<string, Head>
  last_heartbeat?: string | null
  loop_lag_ms?: number | null
  detail?: string | null
}

/** A decision snapshot that a start may name. */
export interface SnapshotChoice {
  id: number
  date?: string | null
  usable?: boolean
  count?: number | null
  problem?: string | null
}

/** The newest first; more is true when there are older ones. */
export interface SnapshotsView {
  snapshots: SnapshotChoice[]
  more: boolean
}

/** Prices and their times in whole seconds of UTC, one for one. Empty when there were none. */
export interface SparklineSeries {
  symbol: string
  times: number[]
  prices: number[]
}

export interface SparklinesView {
  series: SparklineSeries[]
}

/** Start streaming. Fails with `ib_stream_lock_busy` when the stream is started already. */
export interface StartRequest {
  project_id?: number | null
  decision_snapshot_id?: number | null
  symbols?: string[] | null
  max_symbols?: number | null
  market_data_type?: 'delayed' | 'delayed_frozen' | 'frozen' | 'realtime' | null
  refresh_interval_seconds?: number | null
  generic_ticks?: string | null
}

/** The whole status: `_status.json`, the topic `status`, `ibstream status --json` and GET /status. */
export interface Status {
  status: 'connected' | 'degraded' | 'disconnected' | 'starting' | 'stopped'
  reason?: string | null
  message?: string | null
  last_heartbeat?: string | null
  subscribed_symbols?: string[]
  ib_error_count?: number
  ib_errors_by_code?: Record<string, number>
  last_error?: LastError | null
  market_data_type?: string | null
  degraded_since?: string | null
  last_snapshot_refresh?: string | null
  project_id?: number | null
  decision_snapshot_id?: number | null
  api_mode: 'ib' | 'mock'
  services?: Record<string, ServiceStatus>
  symbols?: Record<string, SymbolStatus>
  lock?: LockOwner | null
  link?: LinkStatus | null
  links?: Record<string, LinkStatus>
  plan_problem?: string | null
  plan_problem_code?: string | null
  warnings?: string[]
  good_until?: string | null
}

/** One symbol, as one gateway saw it. Counts are of the span; a figure of which nothing is known is absent. */
export interface SymbolQuality {
  symbol: string
  gateway?: string | null
  marks?: ('blind' | 'clock' | 'crossed' | 'locked' | 'off_bars' | 'outliers' | 'slow' | 'split' | 'stuck' | 'zero_prices')[]
  ticks: number
  coverage?: number | null
  blind?: Blind[]
  gaps?: Hole[]
  crossed?: number
  crossed_seconds?: number
  locked?: number
  locked_seconds?: number
  outliers?: number
  worst_outliers?: Outlier[]
  bar_minutes?: number
  bars_outside?: number
  zero_prices?: number
  stuck_seconds?: number
  ticks_by_hour?: number[]
  usual_by_hour?: number[]
  clock_seconds?: number | null
  last?: number | null
  split?: string | null
}

export interface SymbolStatus {
  state: string
  source?: 'ib_history' | 'ib_snapshot' | 'ib_stream' | 'mock' | null
  age?: number | null
  reason?: string | null
  code?: number | null
  message?: string | null
  why?: string | null
  priority?: number | null
  market_data_type?: 'delayed' | 'delayed_frozen' | 'frozen' | 'realtime' | null
  streaming?: boolean
  gateway?: string
  marks?: ('blind' | 'clock' | 'crossed' | 'locked' | 'off_bars' | 'outliers' | 'slow' | 'split' | 'stuck' | 'zero_prices')[]
  held?: boolean
  local_symbol?: string
  contract_month?: string
}

/**
 * RTVolume (tick 48, generic tick 233) and RT trade volume (77, generic 375: without trades that do not set the
 * last price). `size` and `volume` are shares or contracts, absent where the unit of IB's numbers is not known.
 */
export interface TradeReport {
  price?: number | null
  size?: number | null
  time?: string | null
  volume?: number | null
  vwap?: number | null
  single?: boolean | null
}
