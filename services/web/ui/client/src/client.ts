// The client: one object for prices, status and commands of the ibstream at an address.

import { type Api, type ApiOptions, createApi } from './api.js'
import {
  ApiError,
  CommandRefused,
  InvalidAddress,
  StreamStopped,
  UnknownSymbol,
  Unreachable,
} from './errors.js'
import type { Plan, Quote, StartRequest, Status } from './index.js'
import { follow } from './quotes.js'
import { isGood, moment, refusal, type Wishes } from './rule.js'

const LOST = new Set(['backend_away', 'supervisor_unreachable', 'planner_unreachable'])
const UNAUTHORIZED = new Set(['unauthorized', 'forbidden'])
const LOOK_AGAIN_MS = 100

/**
 * A client of the ibstream at `address` (`http://host:8765`, with a path if it has one; in a browser '' is the page's
 * own origin). Nothing is asked yet, so that it may start later. Throws InvalidAddress.
 */
export function connect(address: string, options: ApiOptions = {}): Client {
  const parsed = address === '' || URL.canParse(address) ? address : undefined
  if (parsed === undefined || !/^(https?:\/\/|$)/i.test(address)) {
    throw new InvalidAddress(`'${address}' is no address; expected http://host:port`, 'invalid_address')
  }
  return new Client(createApi(address, options))
}

/** Made by `connect`. All times count in the server's clock: this machine's may be wrong. */
export class Client {
  /** Everything that the web API answers, with its own codes. */
  readonly api: Api

  constructor(api: Api) {
    this.api = api
  }

  /**
   * The current quote of `symbol`, vouched for at this moment: `SPY`, or SYMBOL:EXCHANGE:CURRENCY as it was planned.
   * Throws StalePrice, UnknownSymbol, StreamStopped or Unreachable, each with `reason`, `age` and `source`; never
   * answers a price that may not be used.
   */
  async price(symbol: string, wishes: Wishes = {}): Promise<Quote> {
    if (!symbol.trim()) throw new UnknownSymbol("'' is no symbol", 'invalid_symbol')
    let quote: Quote
    try {
      quote = await this.api.quote(symbol)
    } catch (error) {
      throw await this.missing(symbol, error)
    }
    const { clock } = this.api
    if (!clock.known)
      throw new Unreachable('what answers tells no time: nothing can be vouched for', 'unreachable')
    const refused = refusal(quote, clock.now(), wishes)
    if (refused) throw refused
    return quote
  }

  /** The whole status. Throws Unreachable, also when nobody vouches for the status any more. */
  async status(): Promise<Status> {
    const status = await this.api.status().catch(raise)
    if (status.status !== 'stopped' && !this.vouched(status)) {
      throw new Unreachable('the status is out of date: nobody keeps it', 'unreachable')
    }
    return status
  }

  /**
   * Answers once the status is `connected`. Throws Unreachable, or StreamStopped, with the last reason after
   * `timeout` seconds.
   */
  async waitUntilConnected(timeout = 60): Promise<Status> {
    const deadline = Date.now() + timeout * 1000
    for (;;) {
      let failure: Unreachable | StreamStopped
      try {
        const status = await this.status()
        if (status.status === 'connected') return status
        const kind = status.status === 'stopped' ? StreamStopped : Unreachable
        const said = status.message ?? status.status
        failure = new kind(`not connected within ${timeout} s: ${said}`, status.reason ?? status.status)
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error
        failure = new Unreachable(`not connected within ${timeout} s: ${error.message}`, error.reason)
      }
      if (Date.now() > deadline) throw failure
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))
    }
  }

  /** The subscription plan in force: which symbols, why, in what order. Throws Unreachable. */
  plan(): Promise<Plan> {
    return this.api.plan().catch(raise)
  }

  /** Start streaming; durable when it answers. Throws CommandRefused with the stable code as its reason. */
  start(request: StartRequest = {}): Promise<void> {
    return this.api.start(request).catch(raise)
  }

  /** Stop streaming; stopping a stopped stream is no error. Durable when it answers. */
  stop(): Promise<void> {
    return this.api.stop().catch(raise)
  }

  /**
   * Quotes of these symbols (of all without one) as they change, for `for await`. Names as quotes have them (`BRK.B`,
   * `SAP_IBIS_EUR`), in any case.
   *
   * Each carries its `good_until`; when that passes unrenewed the quote comes once more, `stale` with the reason
   * `expired`: who keeps the last one that came is never fooled by silence. Conflated for a slow reader. Ends with
   * the loop. Throws Unreachable when the token is refused.
   */
  quotes(...symbols: string[]): AsyncGenerator<Quote, void, void> {
    return follow(this.api, new Set(symbols.map((symbol) => symbol.toUpperCase())))
  }

  private vouched(status: Status): boolean {
    return this.api.clock.known && isGood(moment(status), this.api.clock.now())
  }

  /** Why there is no quote, asked of the status where the symbol has none. */
  private async missing(symbol: string, error: unknown): Promise<unknown> {
    if (!(error instanceof ApiError)) return error
    if (error.reason === 'invalid_symbol' || error.reason === 'invalid_request') {
      return new UnknownSymbol(error.message, 'invalid_symbol', { cause: error })
    }
    if (error.reason !== 'symbol_not_found') return translated(error)
    const status = await this.api.status().catch(raise)
    if (status.status === 'stopped') {
      const reason = status.reason ?? 'stopped'
      return new StreamStopped(`${symbol}: the stream is stopped: ${status.message ?? reason}`, reason)
    }
    if (!this.vouched(status))
      return new Unreachable(`${symbol}: no price, and the status is out of date`, 'unreachable')
    return new UnknownSymbol(`${symbol}: no price was ever received`, 'symbol_not_found')
  }
}

function raise(error: unknown): never {
  throw translated(error)
}

/** What the API said, in the client's own errors. */
function translated(error: unknown): unknown {
  if (!(error instanceof ApiError)) return error
  const { message, reason, field } = error
  if (UNAUTHORIZED.has(reason)) return new Unreachable(message || reason, 'unauthorized', { cause: error })
  if (LOST.has(reason) || reason.startsWith('http_')) {
    return new Unreachable(message || 'nothing answers', 'unreachable', { cause: error })
  }
  return new CommandRefused(message, reason, { field, cause: error })
}
