// The price alerts of this backend: those that are set, one more in words, and those that came. Folded away; what
// comes while the page is open is said aloud, once.

import { type AlertNotice, type AlertsView, ApiError } from '@ibstream/client'
import { type FormEvent, useCallback, useEffect, useId, useRef, useState } from 'react'
import styles from './AlertsPanel.module.css'
import { useCard, useStore } from './hooks'
import card from './StreamCard.module.css'
import shared from './shared.module.css'
import { fill } from './strings'
import { Failure } from './useCommand'

const LOOK_MS = 5_000
const RECENT = 8 // shown of those that came

export function AlertsPanel() {
  const { strings, format } = useCard()
  const { view, reload } = useAlerts()
  const news = useNews(view?.recent)
  if (!view) return null
  const last = view.recent[0]
  return (
    <>
      <p className={shared.srOnly} aria-live="polite">
        {news ? fill(strings.alerts.came, { text: news.text }) : ''}
      </p>
      <details className={card.services} data-testid="alerts">
        <summary>
          <span>{strings.alerts.title}</span>
          <span className={card.summaryNote}>
            {fill(strings.alerts.count, { count: format.count(view.alerts.length) })}
            {last && ` · ${format.clock(Date.parse(last.time))} ${last.text}`}
          </span>
        </summary>
        <AddAlert onAdded={reload} />
        {view.alerts.length === 0 ? (
          <p className={styles.empty}>{strings.alerts.none}</p>
        ) : (
          <ul className={styles.list}>
            {view.alerts.map((alert) => (
              <li key={alert.id}>
                <span className={styles.rule}>{alert.rule}</span>
                {alert.note && <span className={styles.muted}>{alert.note}</span>}
                <span className={styles.muted}>
                  {alert.last
                    ? fill(strings.alerts.last, {
                        count: format.count(alert.count ?? 0),
                        time: format.clock(Date.parse(alert.last.time)),
                      })
                    : strings.alerts.never}
                </span>
                <RemoveAlert id={alert.id} rule={alert.rule} onRemoved={reload} />
              </li>
            ))}
          </ul>
        )}
        {view.recent.length > 0 && (
          <ol className={styles.recent} aria-label={strings.alerts.recent}>
            {view.recent.slice(0, RECENT).map((notice) => (
              <li key={`${notice.id} ${notice.symbol} ${notice.time}`}>
                <time dateTime={notice.time}>{format.dateTime(Date.parse(notice.time))}</time> {notice.text}
              </li>
            ))}
          </ol>
        )}
      </details>
    </>
  )
}

function AddAlert({ onAdded }: { onAdded(): void }) {
  const { api, strings } = useCard()
  const [rule, setRule] = useState('')
  const [failure, setFailure] = useState<ApiError>()
  const id = useId()
  const send = async (event: FormEvent) => {
    event.preventDefault()
    if (!rule.trim()) return
    try {
      await api.addAlert(rule)
      setRule('')
      setFailure(undefined)
      onAdded()
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      setFailure(error)
    }
  }
  return (
    <form className={styles.add} onSubmit={(event) => void send(event)}>
      <label htmlFor={id}>{strings.alerts.rule}</label>
      <input
        id={id}
        value={rule}
        placeholder="SPY rises above 600"
        autoComplete="off"
        spellCheck={false}
        aria-describedby={`${id}-help`}
        onChange={(event) => setRule(event.target.value)}
      />
      <button type="submit" disabled={!rule.trim()}>
        {strings.alerts.add}
      </button>
      <p id={`${id}-help`} className={styles.muted}>
        {strings.alerts.help}
      </p>
      {failure && <Failure error={failure} />}
    </form>
  )
}

function RemoveAlert({ id, rule, onRemoved }: { id: number; rule: string; onRemoved(): void }) {
  const { api, strings } = useCard()
  const [gone, setGone] = useState(false)
  const remove = async () => {
    setGone(true)
    try {
      await api.removeAlert(id)
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      setGone(false)
    }
    onRemoved()
  }
  return (
    <button
      type="button"
      className={styles.remove}
      disabled={gone}
      aria-label={fill(strings.alerts.removeLong, { rule })}
      onClick={() => void remove()}
    >
      {strings.alerts.remove}
    </button>
  )
}

/** What the backend says of its alerts, asked again while it can be reached; undefined where it has none to tell. */
function useAlerts(): { view: AlertsView | undefined; reload(): void } {
  const { api } = useCard()
  const open = useStore('connection', (store) => store.connection.phase === 'open')
  const [view, setView] = useState<AlertsView>()
  const reload = useCallback(() => {
    api.alerts().then(setView, () => undefined) // an old backend has none; a new one is asked again
  }, [api])
  useEffect(() => {
    if (!open) return
    reload()
    const timer = setInterval(() => document.visibilityState !== 'hidden' && reload(), LOOK_MS)
    return () => clearInterval(timer)
  }, [open, reload])
  return { view, reload }
}

/** The newest alert that came since the page was opened. */
function useNews(recent: readonly AlertNotice[] | undefined): AlertNotice | undefined {
  const seen = useRef<string>(undefined)
  const [news, setNews] = useState<AlertNotice>()
  useEffect(() => {
    if (!recent) return
    const newest = recent[0]
    const time = newest?.time ?? ''
    if (seen.current !== undefined && newest && time > seen.current) setNews(newest)
    seen.current = time
  }, [recent])
  return news
}
