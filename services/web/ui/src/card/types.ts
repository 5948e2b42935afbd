// The shapes that the backend sends: `messages/views.py` as JSON. A field that was never received is absent.
// Times are UTC ISO 8601; prices are in the quote's currency; sizes in the units that IB delivered.

export type StatusWord = 'stopped' | 'starting' | 'connected' | 'degraded' | 'disconnected'
export type PriceSource = 'ib_stream' | 'ib_snapshot' | 'ib_history' | 'mock'
export type MarketDataType = 'realtime' | 'frozen' | 'delayed' | 'delayed_frozen'

export interface Quote {
  symbol: string
  timestamp?: string | null
  source?: PriceSource | null
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
  currency?: string | null
  exchange?: string | null
  market_data_type?: MarketDataType | null
  exchange_time?: string | null
  halted?: boolean | null
  stale: boolean
  reason?: string | null
  /** The price may be used before this moment; a stale quote has none. */
  good_until?: string | null
  epoch: number
  seq: number
  gateway?: string | null
}

export interface SymbolStatus {
  state: string
  source?: PriceSource | null
  age?: number | null
  reason?: string | null
  code?: number | null
  message?: string | null
  why?: string | null
  priority?: number | null
  market_data_type?: MarketDataType | null
  streaming?: boolean
}

export interface ServiceStatus {
  state: 'up' | 'down' | 'failing'
  pid?: number | null
  head_seq?: number | null
  last_heartbeat?: string | null
  loop_lag_ms?: number | null
  detail?: string | null
}

export interface LastError {
  time: string
  code: number
  name: string
  message: string
  symbol?: string | null
}

export interface LinkStatus {
  phase: string
  reason?: string | null
  detail?: string | null
  endpoint?: string | null
  server_version?: number | null
  expected?: boolean
  since?: string | null
  farms?: Record<string, string>
}

export interface Status {
  status: StatusWord
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
  api_mode: 'mock' | 'ib'
  services?: Record<string, ServiceStatus>
  symbols?: Record<string, SymbolStatus>
  lock?: { owner: string; since: string } | null
  link?: LinkStatus | null
  /** Of each of several gateways, by its name. */
  links?: Record<string, LinkStatus>
  plan_problem?: string | null
  warnings?: string[]
  /** What is said here holds before this moment. */
  good_until?: string | null
}

export interface Plan {
  started?: boolean
  project_id?: number | null
  project_name?: string | null
  decision_snapshot_id?: number | null
  market_data_type?: MarketDataType
  symbols?: { symbol: string; reason: string; priority: number }[]
  cut?: { symbol: string; reason: string; priority: number }[]
  warnings?: string[]
  problem?: string | null
}

/** A decision snapshot that a start may name. */
export interface SnapshotChoice {
  id: number
  date?: string | null
  usable: boolean
  count?: number | null
  problem?: string | null
}

/** A project that a start may name, with the snapshot that it would stream. */
export interface ProjectChoice {
  id: number
  name: string
  archived?: boolean
  snapshot?: SnapshotChoice | null
}

export interface StartRequest {
  project_id?: number
  decision_snapshot_id?: number
  symbols?: string[]
  max_symbols?: number
  market_data_type?: MarketDataType
  refresh_interval_seconds?: number
}

export interface HistoryPoint {
  time: string
  price: number
  source?: PriceSource | null
}

/** Prices and their times in whole seconds of UTC, one for one. */
export interface SparklineSeries {
  symbol: string
  times: number[]
  prices: number[]
}

export interface Gap {
  symbol: string
  start: string
  end?: string | null
  reason: string
  filled?: boolean
}

export interface LinkPoint {
  time: string
  status: string
  reason?: string | null
}
