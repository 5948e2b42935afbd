// What a person chose on this page. Language, theme and what the card keeps stay in the browser; the token lasts
// for the tab, and comes out of the address at once when it arrived there; an open symbol is the address's own.

import type { Language } from './card'

export type Theme = 'auto' | 'light' | 'dark'

export function read(key: string): string | null {
  try {
    return localStorage.getItem(`ibstream.${key}`)
  } catch {
    return null // private windows may refuse storage: the choice then lasts for this visit
  }
}

export function write(key: string, value: string): void {
  try {
    localStorage.setItem(`ibstream.${key}`, value)
  } catch {
    // see read()
  }
}

export function firstLanguage(): Language {
  const asked = new URLSearchParams(location.search).get('lang') ?? read('language')
  if (asked === 'en' || asked === 'zh') return asked
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'
}

export function firstTheme(): Theme {
  const asked = new URLSearchParams(location.search).get('theme') ?? read('theme')
  return asked === 'light' || asked === 'dark' ? asked : 'auto'
}

/** A token in the address, `#token=…`: never sent to a server, and gone from the address once read. */
export function firstToken(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token')
  if (given) {
    history.replaceState(null, '', location.pathname + location.search)
    keepToken(given)
    return given
  }
  try {
    return sessionStorage.getItem('ibstream.token') ?? undefined
  } catch {
    return undefined
  }
}

/** The symbol that the address names, `#SPY`. */
export function symbolInAddress(): string | undefined {
  const name = location.hash.slice(1)
  if (name === '' || name.includes('=')) return undefined
  try {
    return decodeURIComponent(name).toUpperCase()
  } catch {
    return undefined
  }
}

/** Makes the address one that opens the symbol, for whoever copies it. */
export function nameInAddress(symbol: string | undefined): void {
  const hash = symbol === undefined ? '' : `#${encodeURIComponent(symbol)}`
  history.replaceState(null, '', location.pathname + location.search + hash)
}

export function keepToken(token: string): void {
  try {
    sessionStorage.setItem('ibstream.token', token)
  } catch {
    // see read()
  }
}
