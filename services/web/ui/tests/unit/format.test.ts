import { describe, expect, it, vi } from 'vitest'
import { changeOf, decimalsOf, formatFor } from '../../src/card/format'
import { languages } from '../../src/card/strings'
import { quoteOf } from './backend'

const en = formatFor('en', languages.en)
const zh = formatFor('zh', languages.zh)

describe('numbers', () => {
  it('shows prices with the decimals that the symbol needs', () => {
    expect(en.price(1234.5)).toBe('1,234.50')
    expect(en.price(1.0845, 5)).toBe('1.08450')
    expect(decimalsOf(quoteOf('SPY', 512.34, { bid: 512.33, ask: 512.35, close: 510 }))).toBe(2)
    expect(decimalsOf(quoteOf('EUR.USD', 1.08, { bid: 1.08425, ask: 1.0843, close: 1.08 }))).toBe(5)
    expect(decimalsOf(quoteOf('ODD', 1, { bid: 1 / 3, ask: 1, close: 1 }))).toBe(5)
    expect(decimalsOf(undefined)).toBe(2)
  })

  it('has a sign on every change but none', () => {
    expect(en.signed(1.5)).toBe('+1.50')
    expect(en.signed(-1.5)).toBe('−1.50')
    expect(en.signed(0)).toBe('0.00')
    expect(en.percent(-0.256)).toBe('−0.26')
  })

  it('shortens large volumes in the words of the language', () => {
    expect(en.volume(99_999)).toBe('99,999')
    expect(en.volume(12_345_678)).toBe('12.35M')
    expect(zh.volume(12_345_678)).toBe('1235万')
  })

  it('shows what is absent or not a number as a dash', () => {
    for (const value of [undefined, null, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(en.price(value)).toBe('–')
      expect(en.volume(value)).toBe('–')
    }
  })

  it('makes its formatters once, not a cell', () => {
    let made = 0
    class Counted extends Intl.NumberFormat {
      constructor(locale: string, options: Intl.NumberFormatOptions) {
        super(locale, options)
        made += 1
      }
    }
    vi.stubGlobal('Intl', { ...Intl, NumberFormat: Counted, DateTimeFormat: Intl.DateTimeFormat })
    const format = formatFor('en', { ...languages.en })
    for (let i = 0; i < 100; i++) format.price(i, 2 + (i % 3))
    vi.unstubAllGlobals()
    expect(made).toBeLessThan(12)
    expect(formatFor('en', languages.en)).toBe(en)
  })
})

describe('ages', () => {
  it.each([
    [0.44, '0.4 s', '0.4 秒'],
    [12, '12 s', '12 秒'],
    [119, '119 s', '119 秒'],
    [125, '2 min', '2 分钟'],
    [2 * 3600 + 300, '2 h 5 min', '2 小时 5 分'],
    [30 * 3600, '30 h', '30 小时'],
    [4 * 86400, '4 d', '4 天'],
    [-3, '0.0 s', '0.0 秒'],
  ])('%d seconds', (seconds, english, chinese) => {
    expect(en.age(seconds, true)).toBe(english)
    expect(zh.age(seconds, true)).toBe(chinese)
  })

  it('has whole seconds in the table', () => {
    expect(en.age(3.9)).toBe('3 s')
  })
})

describe('times', () => {
  it('name their zone where they stand alone', () => {
    const time = Date.parse('2026-03-04T10:00:05Z')
    const zone = en.zone(time)
    expect(zone).toMatch(/^(UTC|GMT|[A-Z]{2,5})/)
    expect(en.moment(time)).toBe(`${en.clock(time)} ${zone}`)
    expect(en.dateTime(time)).toContain(zone)
    expect(zh.moment(time)).toMatch(/^\d\d:\d\d:05 /)
  })
})

describe('change against the previous close', () => {
  it('knows value, percent and direction', () => {
    expect(changeOf(quoteOf('SPY', 102, { close: 100 }))).toEqual({ value: 2, percent: 2, direction: 'up' })
    expect(changeOf(quoteOf('SPY', 99, { close: 100 }))?.direction).toBe('down')
    expect(changeOf(quoteOf('SPY', 100, { close: 100 }))?.direction).toBe('unchanged')
  })

  it('is unknown without a close', () => {
    expect(changeOf(quoteOf('SPY', 100, { close: undefined }))).toBeUndefined()
    expect(changeOf(quoteOf('SPY', 100, { close: 0 }))).toBeUndefined()
    expect(changeOf(undefined)).toBeUndefined()
  })
})
