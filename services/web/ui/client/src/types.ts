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

/** A symbol that the plan leaves out of streaming, and why. It is served from snapshots by rotation. */
export interface CutSymbol {
  symbol: string
  reason: string
  priority: number
  contract?: PlannedSymbol | null
  limit?: 'lines' | 'max_symbols'
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
  market_data_type?: 'delayed' | 'delayed_frozen' | 'frozen' | 'realtime' | null
  exchange_time?: string | null
  halted?: boolean | null
  stale: boolean
  reason?: string | null
  good_until?: string | null
  epoch: number
  seq: number
  gateway?: string | null
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
}
