import { describe, expect, it } from 'vitest'
import { fill, languages, stringsFor, word } from '../../src/card/strings'

/** Every text with its path: `status.connected` and so on. */
function texts(words: object, path = ''): Map<string, string> {
  const found = new Map<string, string>()
  for (const [key, value] of Object.entries(words)) {
    if (typeof value === 'string') found.set(path + key, value)
    else for (const [inner, text] of texts(value, `${path}${key}.`)) found.set(inner, text)
  }
  return found
}

const placeholders = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort()

describe('the words', () => {
  const en = texts(languages.en)
  const zh = texts(languages.zh)

  it('are all there in both languages', () => {
    expect([...zh.keys()].sort()).toEqual([...en.keys()].sort())
    for (const [path, text] of [...en, ...zh]) expect(text.trim(), path).not.toBe('')
  })

  it('take the same values in both', () => {
    for (const [path, text] of en) expect(placeholders(zh.get(path) ?? ''), path).toEqual(placeholders(text))
  })

  it('are translated: no English sentence is left in Chinese', () => {
    const same = [...en].filter(
      ([path, text]) => zh.get(path) === text && /[a-z]{3}/i.test(text.replace(/\{\w+\}/g, '')),
    )
    expect(same).toEqual([])
  })

  it('are plain data', () => {
    expect(JSON.parse(JSON.stringify(languages))).toEqual(languages)
  })

  it('can be overridden in part, and added to', () => {
    const strings = stringsFor('en', {
      title: 'Prices',
      status: { connected: 'All good' },
      reason: { moon_phase: 'Moon.' },
    })
    expect(strings.title).toBe('Prices')
    expect(strings.status.connected).toBe('All good')
    expect(strings.status.degraded).toBe('Degraded')
    expect(word(strings.reason, 'moon_phase')).toBe('Moon.')
    expect(stringsFor('en')).toBe(languages.en)
  })

  it('show a word that is newer than the card readably', () => {
    expect(word(languages.en.reason, 'solar_flare')).toBe('solar flare')
    expect(word(languages.en.reason, 'solar_flare', 'The sun.')).toBe('The sun.')
    expect(word(languages.en.reason, 'toString')).toBe('toString')
    expect(word(languages.en.reason, null)).toBe('')
  })

  it('leave an unknown placeholder visible', () => {
    expect(fill('{a} of {b}', { a: 1 })).toBe('1 of {b}')
  })
})
