// Why a price is refused, or nothing can be said: the names and the meaning of the Python client's errors.

export interface Refused {
  /** Seconds since the price was received. */
  age?: number | undefined
  source?: string | undefined
  cause?: unknown
}

/** Base of all. `age` and `source` are those of the price that was refused, undefined where there is none. */
export class IbstreamError extends Error {
  /** A stable word. */
  readonly reason: string
  readonly age: number | undefined
  readonly source: string | undefined

  constructor(message: string, reason: string, { age, source, cause }: Refused = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.reason = reason
    this.age = age
    this.source = source
  }
}

/**
 * There is a price, and it must not be used: nobody vouches for it now, it is older than asked for, or it comes from
 * another source. `reason` is the quote's own, or `expired`, `clock`, `too_old`, `source`.
 */
export class StalePrice extends IbstreamError {}

/** No price of this symbol was ever received, or it could not be a symbol (`symbol_not_found`, `invalid_symbol`). */
export class UnknownSymbol extends IbstreamError {}

/** The stream was stopped, or ibstream was shut down (`stopped`, `shutdown`). */
export class StreamStopped extends IbstreamError {}

/** Nothing answers at this address, or what answers is no ibstream (`unreachable`, `unauthorized`). */
export class Unreachable extends IbstreamError {}

/** A request was refused. `reason` is the stable code: `ib_stream_lock_busy`, `project_not_found`, ... */
export class CommandRefused extends IbstreamError {
  /** The part of the request that caused it, where one did. */
  readonly field: string | undefined

  constructor(
    message: string,
    reason: string,
    { field, ...rest }: Refused & { field?: string | undefined } = {},
  ) {
    super(message, reason, rest)
    this.field = field
  }
}

/** `connect` was given what is no address (`invalid_address`). */
export class InvalidAddress extends IbstreamError {}

/** An answer other than the one that was asked for, as `createApi` tells it; `reason` is the server's own code, or
 * `backend_away`, `unauthorized`, `http_NNN`. */
export class ApiError extends IbstreamError {
  readonly httpStatus: number | undefined
  /** The part of the request that caused it, where the backend says. */
  readonly field: string | undefined

  constructor(reason: string, message: string, httpStatus?: number, field?: string) {
    super(message, reason)
    this.httpStatus = httpStatus
    this.field = field
  }
}
