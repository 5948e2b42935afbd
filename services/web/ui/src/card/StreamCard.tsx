// The card: health, control, link history and live quotes of one ibstream backend. For any React app: no global
// styles, no side effects on import, its words and its backend are props.

import { createApi } from '@ibstream/client'
import { useEffect, useMemo, useRef } from 'react'
import { AlertsPanel } from './AlertsPanel'
import { Control } from './Control'
import { formatFor } from './format'
import { Card } from './hooks'
import { LinkStrip } from './LinkStrip'
import { Metrics } from './Metrics'
import type { Memory } from './memory'
import { QualityPanel } from './QualityPanel'
import { QuoteTable } from './QuoteTable'
import { ServicePanel } from './ServicePanel'
import { Announcer, Headline, MockNotice } from './StatusHeader'
import styles from './StreamCard.module.css'
import { StreamStore } from './store'
import { type Language, type StringsOverride, stringsFor } from './strings'
import { useUnauthorized } from './useUnauthorized'

const TIMEOUT = 10 // seconds: a plan of a large database takes a while

export interface StreamCardProps {
  /** Where the backend is: an origin, with a path if it has one. Default: the page's own origin. */
  apiBase?: string
  /** Bearer token, where the backend wants one. */
  token?: string
  language?: Language
  /** Replaces some of the words; keep the object stable. */
  strings?: StringsOverride
  theme?: 'light' | 'dark' | 'auto'
  /** Which way round rises and falls are coloured. Default: red up in Chinese, green up otherwise. */
  changeColors?: 'green-up' | 'red-up'
  /** Where the card keeps what a person chose: sorting, states shown, density. Default: nowhere. */
  memory?: Memory
  /** A symbol whose chart is opened, and brought into view; another one when it changes. */
  symbol?: string
  /** A person opened this symbol's chart; undefined when the last one was closed. Keep it stable. */
  onSymbol?: (symbol: string | undefined) => void
  /** The backend refused the token, or wants one. */
  onUnauthorized?: () => void
  className?: string
}

export function StreamCard({
  apiBase = '',
  token,
  language = 'en',
  strings: override,
  theme = 'auto',
  changeColors = language === 'zh' ? 'red-up' : 'green-up',
  memory,
  symbol,
  onSymbol,
  onUnauthorized,
  className,
}: StreamCardProps) {
  const api = useMemo(() => createApi(apiBase, { token, timeout: TIMEOUT }), [apiBase, token])
  const place = useRef(memory)
  const store = useMemo(() => new StreamStore(api, undefined, place.current), [api])
  const strings = useMemo(() => stringsFor(language, override), [language, override])
  const card = useMemo(
    () => ({ store, api, strings, language, format: formatFor(language, strings), memory }),
    [store, api, strings, language, memory],
  )
  useEffect(() => store.open(), [store])
  useUnauthorized(store, onUnauthorized)

  return (
    <Card.Provider value={card}>
      <section
        className={[styles.card, className].filter(Boolean).join(' ')}
        data-theme={theme}
        data-change-colors={changeColors}
        lang={language === 'zh' ? 'zh-CN' : 'en'}
        aria-label={strings.title}
      >
        <div className={styles.inner}>
          <MockNotice />
          <div className={styles.top}>
            <Headline />
            <Control />
          </div>
          <Metrics />
          <LinkStrip />
          <QuoteTable memory={memory} symbol={symbol} onSymbol={onSymbol} />
          <AlertsPanel />
          <QualityPanel />
          <ServicePanel />
          <Announcer />
        </div>
      </section>
    </Card.Provider>
  )
}
