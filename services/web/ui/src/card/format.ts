// Numbers, times and ages as text. One Format a language, its Intl formatters made once: a table that repaints
// on every frame must not build one a cell.

import type { Quote } from '@ibstream/client'
import type { Language, Strings } from './strings'
import { fill } from './strings'

const LOCALE: Record<Language, string> = { en: 'en-US', zh: 'zh-CN' }
const LEAST_DECIMALS = 2
const MOST_DECIMALS = 5

export interface Format {
  price(value: number | null | undefined, decimals?: number): string
  signed(value: number | null | undefined, decimals?: number): string
  percent(value: number | null | undefined): string
  size(value: number | null | undefined): string
  volume(value: number | null | undefined): string
  count(value: number): string
  /** Seconds, in the largest unit that fits: `12 s`, `3 min`, `2 h 5 min`, `4 d`; with tenths, `0.4 s`. */
  age(seconds: number, tenths?: boolean): string
  clock(ms: number, withSeconds?: boolean): string
  /** A clock's time with the name of its zone: for a time that stands alone, or is passed on. */
  moment(ms: number): string
  dateTime(ms: number): string
  /** The reader's time zone at that time, short. */
  zone(ms: number): string
}

const cache = new WeakMap<Strings, Map<Language, Format>>()

export function formatFor(language: Language, strings: Strings): Format {
  const byLanguage = cache.get(strings) ?? new Map<Language, Format>()
  cache.set(strings, byLanguage)
  const known = byLanguage.get(language) ?? build(LOCALE[language], strings)
  byLanguage.set(language, known)
  return known
}

function build(locale: string, strings: Strings): Format {
  const { none, unit } = strings
  const withDecimals = (signDisplay?: 'exceptZero') =>
    memo((n: number) =>
      formatter(locale, { minimumFractionDigits: n, maximumFractionDigits: n, signDisplay }),
    )
  const fixed = withDecimals()
  const signed = withDecimals('exceptZero')
  const whole = formatter(locale, { maximumFractionDigits: 2 })
  const compact = formatter(locale, { notation: 'compact', maximumSignificantDigits: 4 })
  const clock = (more: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...more })
  const minute = clock({})
  const second = clock({ second: '2-digit' })
  const zoned = clock({ second: '2-digit', timeZoneName: 'short' })
  const dated = clock({ second: '2-digit', timeZoneName: 'short', month: 'short', day: 'numeric' })
  const shown = (value: number | null | undefined, text: (value: number) => string): string =>
    value == null || !Number.isFinite(value) ? none : text(value)

  return {
    price: (value, decimals = LEAST_DECIMALS) => shown(value, fixed(decimals)),
    signed: (value, decimals = LEAST_DECIMALS) => minus(shown(value, signed(decimals))),
    percent: (value) => minus(shown(value, signed(2))),
    size: (value) => shown(value, whole),
    volume: (value) => shown(value, (v) => (v < 100_000 ? whole(v) : compact(v))),
    count: whole,
    age: (seconds, tenths = false) => {
      const age = Math.max(0, seconds)
      return tenths && age < 10 ? fill(unit.s, { n: fixed(1)(age) }) : ageText(age, unit)
    },
    clock: (ms, withSeconds = true) => (withSeconds ? second : minute).format(ms),
    moment: (ms) => `${second.format(ms)} ${zoneIn(zoned, ms)}`,
    dateTime: (ms) => dated.format(ms),
    zone: (ms) => zoneIn(zoned, ms),
  }
}

function zoneIn(format: Intl.DateTimeFormat, ms: number): string {
  return format.formatToParts(ms).find(({ type }) => type === 'timeZoneName')?.value ?? ''
}

/** A true minus sign, as wide as the plus. */
function minus(text: string): string {
  return text.replace('-', '−')
}

function ageText(seconds: number, unit: Strings['unit']): string {
  if (seconds < 120) return fill(unit.s, { n: Math.floor(seconds) })
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return fill(unit.min, { n: minutes })
  const hours = Math.floor(minutes / 60)
  if (hours < 10) return fill(unit.hmin, { h: hours, min: minutes % 60 })
  if (hours < 48) return fill(unit.h, { n: hours })
  return fill(unit.d, { n: Math.floor(hours / 24) })
}

function formatter(locale: string, options: Intl.NumberFormatOptions): (value: number) => string {
  const intl = new Intl.NumberFormat(locale, options)
  return (value) => intl.format(value)
}

function memo<V>(make: (key: number) => V): (key: number) => V {
  const made = new Map<number, V>()
  return (key) => {
    const value = made.get(key) ?? make(key)
    made.set(key, value)
    return value
  }
}

/** How many decimals a quote's prices need: two for most stocks, up to five for currencies. */
export function decimalsOf(quote: Quote | undefined): number {
  let decimals = LEAST_DECIMALS
  if (!quote) return decimals
  for (const price of [quote.bid, quote.ask, quote.close]) {
    if (price == null) continue
    while (decimals < MOST_DECIMALS && !isRound(price, decimals)) decimals += 1
  }
  return decimals
}

function isRound(price: number, decimals: number): boolean {
  const scaled = price * 10 ** decimals
  return Math.abs(scaled - Math.round(scaled)) < 1e-6 * Math.max(1, Math.abs(scaled) * 1e-6)
}

export interface Change {
  value: number
  percent: number
  direction: 'up' | 'down' | 'unchanged'
}

/** Against the previous close; undefined while either is unknown. */
export function changeOf(quote: Quote | undefined): Change | undefined {
  const { last, close } = quote ?? {}
  if (last == null || close == null || close <= 0) return undefined
  const value = last - close
  return {
    value,
    percent: (value / close) * 100,
    direction: value > 0 ? 'up' : value < 0 ? 'down' : 'unchanged',
  }
}
