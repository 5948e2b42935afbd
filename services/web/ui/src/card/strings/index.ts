// The card's words: which languages there are, and how a host app overrides some of them.

import { en } from './en'
import { zh } from './zh'

/** Every group of words, each a map from a stable word to a text. */
export type Strings = Words<typeof en>
type Words<T> = { [K in keyof T]: T[K] extends string ? string : Words<T[K]> }

export type Language = 'en' | 'zh'
/** Some of the words, in the shape of Strings; also words for reasons and codes that the card does not know. */
export type StringsOverride = {
  [K in keyof Strings]?: Strings[K] extends string ? string : Record<string, string>
}

export const languages: Record<Language, Strings> = { en, zh }

const EMPTY: StringsOverride = {}

export function stringsFor(language: Language, override: StringsOverride = EMPTY): Strings {
  const base = languages[language]
  if (override === EMPTY) return base
  const merged = Object.entries(base).map(([key, words]) => {
    const own = override[key as keyof Strings]
    return [key, typeof words === 'string' ? (own ?? words) : { ...words, ...(own as object | undefined) }]
  })
  return Object.fromEntries(merged) as Strings
}

/** Puts values in a template's {names}. */
export function fill(template: string, values: Record<string, string | number>): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole))
}

/** The text of a stable word that may be newer than this card: shown as it came, readable. */
export function word(
  words: Record<string, string>,
  key: string | null | undefined,
  fallback?: string,
): string {
  if (key == null || key === '') return fallback ?? ''
  return (Object.hasOwn(words, key) ? words[key] : undefined) ?? fallback ?? key.replaceAll('_', ' ')
}
