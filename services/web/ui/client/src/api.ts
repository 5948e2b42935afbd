// The web API, call by call. Each is bounded by a deadline and fails with an ApiError whose reason is the backend's
// own code, or one of `backend_away`, `unauthorized`, `http_NNN`.

import { ServerClock } from './clock.js'
import { ApiError } from './errors.js'
import type {
  AcceptedView,
  AlertsView,
  Candle,
  CandlesView,
  Gap,
  HistoryPoint,
  LinkPoint,
  Plan,
  ProjectChoice,
  QualityReport,
  Quote,
  SnapshotChoice,
  SparklineSeries,
  StartRequest,
  Status,
} from './types.js'

const TIMEOUT = 5

export interface ApiOptions {
  /** Bearer token; it travels in a header, never in an address. */
  token?: string | undefined
  /** Seconds for each question. Default: 5. */
  timeout?: number
  /** In place of the global one, for tests. */
  fetch?: typeof fetch | undefined
}

export interface Api {
  /** Of the event stream, with the candles `{interval}.{SYMBOL}` that are asked for: `1m.SPY`. */
  eventsUrl(candles?: Iterable<string>): string
  /** Set by every answer. */
  readonly clock: ServerClock
  readonly fetch: typeof fetch
  headers(): Record<string, string>
  status(): Promise<Status>
  /** As its writer last wrote it, good or not. */
  quote(symbol: string): Promise<Quote>
  quotes(): Promise<Quote[]>
  plan(): Promise<Plan>
  gaps(): Promise<{ gaps: Gap[]; link: LinkPoint[] }>
  history(symbol: string, minutes: number): Promise<HistoryPoint[]>
  sparklines(symbols: readonly string[], minutes: number): Promise<SparklineSeries[]>
  /**
   * Oldest first; times as the web API takes them. Without a beginning some hundreds, by the interval. `live`: those
   * to come can be had in the event stream.
   */
  candles(
    symbol: string,
    interval: Candle['interval'],
    range?: { from?: string; to?: string },
  ): Promise<CandlesView>
  /** What the data of a day (UTC, `2026-01-05`) is worth; of today, so far, without one. */
  quality(day?: string): Promise<QualityReport>
  /** The price alerts that are set, and those that came. */
  alerts(): Promise<AlertsView>
  /** Sets one, in words: `SPY rises above 600`. Its id. */
  addAlert(rule: string, pause?: number, note?: string): Promise<number>
  removeAlert(id: number): Promise<void>
  projects(): Promise<{ projects: ProjectChoice[]; more: boolean }>
  /** Of one project, the newest first. */
  snapshots(project: number): Promise<SnapshotChoice[]>
  /** The plan that a start with the same request would make. */
  preview(request: StartRequest): Promise<Plan>
  start(request: StartRequest): Promise<void>
  stop(): Promise<void>
}

/** The backend at `base` (an origin, an origin with a path, or '' for the page's own). */
export function createApi(base: string, options: ApiOptions = {}): Api {
  const { token, timeout = TIMEOUT } = options
  const send = options.fetch ?? ((...args: Parameters<typeof fetch>) => fetch(...args))
  const root = `${base.replace(/\/+$/, '')}/api/ib/stream`
  const headers = (): Record<string, string> => (token ? { Authorization: `Bearer ${token}` } : {})

  const clock = new ServerClock()

  async function call(path: string, body?: unknown, method?: string): Promise<unknown> {
    let response: Response
    const sent = clock.read()
    try {
      response = await send(root + path, {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        headers: body === undefined ? headers() : { ...headers(), 'Content-Type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(timeout * 1000),
        cache: 'no-store',
      })
    } catch (cause) {
      throw new ApiError('backend_away', cause instanceof Error ? cause.message : String(cause))
    }
    clock.answered(response.headers, sent)
    if (!response.ok) throw await errorOf(response)
    return response.json().catch((cause) => {
      throw new ApiError('backend_away', `what answers is no ibstream: ${cause}`)
    })
  }

  return {
    eventsUrl: (candles = []) => {
      const wanted = [...candles].join()
      return `${root}/events${wanted && `?${new URLSearchParams({ candles: wanted })}`}`
    },
    clock,
    fetch: send,
    headers,
    status: () => call('/status') as Promise<Status>,
    quote: (symbol) => call(`/snapshot?${new URLSearchParams({ symbol })}`) as Promise<Quote>,
    quotes: async () => ((await call('/quotes')) as { quotes?: Quote[] }).quotes ?? [],
    plan: () => call('/plan') as Promise<Plan>,
    gaps: async () => {
      const answer = (await call('/gaps')) as { gaps?: Gap[]; link?: LinkPoint[] }
      return { gaps: answer.gaps ?? [], link: answer.link ?? [] }
    },
    history: async (symbol, minutes) => {
      const query = new URLSearchParams({ symbol, minutes: String(minutes) })
      return ((await call(`/history?${query}`)) as { points?: HistoryPoint[] }).points ?? []
    },
    sparklines: async (symbols, minutes) => {
      const query = new URLSearchParams({ symbols: symbols.join(), minutes: String(minutes) })
      return ((await call(`/sparklines?${query}`)) as { series?: SparklineSeries[] }).series ?? []
    },
    candles: async (symbol, interval, range = {}) => {
      const query = new URLSearchParams({ symbol, interval, ...range })
      return (await call(`/candles?${query}`)) as CandlesView
    },
    quality: (day = '') => call(`/quality?${new URLSearchParams({ day })}`) as Promise<QualityReport>,
    alerts: async () => {
      const answer = (await call('/alerts')) as Partial<AlertsView>
      return { alerts: answer.alerts ?? [], recent: answer.recent ?? [] }
    },
    addAlert: async (rule, pause = 900, note = '') =>
      ((await call('/alerts', { rule, pause, note })) as AcceptedView).seq ?? 0,
    removeAlert: async (id) => void (await call(`/alerts/${id}`, undefined, 'DELETE')),
    projects: async () => {
      const answer = (await call('/projects')) as { projects?: ProjectChoice[]; more?: boolean }
      return { projects: answer.projects ?? [], more: answer.more ?? false }
    },
    snapshots: async (project) => {
      const answer = (await call(`/projects/${project}/snapshots`)) as { snapshots?: SnapshotChoice[] }
      return answer.snapshots ?? []
    },
    preview: (request) => call('/plan', request) as Promise<Plan>,
    start: async (request) => void (await call('/start', request)),
    stop: async () => void (await call('/stop', {})),
  }
}

/** What an answer other than 2xx says: `{"detail": {"code", "message"}}`, or FastAPI's list of field errors. */
export async function errorOf(response: Response): Promise<ApiError> {
  const body = (await response.json().catch(() => null)) as { detail?: unknown } | null
  const detail = body?.detail
  if (detail && typeof detail === 'object' && 'code' in detail && 'message' in detail) {
    const field = 'field' in detail && detail.field ? String(detail.field) : undefined
    return new ApiError(String(detail.code), String(detail.message), response.status, field)
  }
  if (response.status === 401 || response.status === 403) {
    return new ApiError('unauthorized', typeof detail === 'string' ? detail : '', response.status)
  }
  if (response.status === 502 || response.status === 504) {
    return new ApiError('backend_away', '', response.status)
  }
  return new ApiError(`http_${response.status}`, sentenceOf(detail), response.status)
}

function sentenceOf(detail: unknown): string {
  if (typeof detail === 'string') return detail
  if (Array.isArray(detail)) {
    return detail
      .map((item: { loc?: unknown[]; msg?: string }) => `${item.loc?.at(-1) ?? ''}: ${item.msg ?? ''}`)
      .join('; ')
  }
  return ''
}
