// The figures under the headline: heartbeat, subscriptions, data type, errors, degraded since.

import type { ReactNode } from 'react'
import { ageOf, heartbeatAge, SILENT_SECONDS } from './health'
import { useBeat, useCard, useNow, useStore } from './hooks'
import styles from './StreamCard.module.css'
import shared from './shared.module.css'
import { fill, word } from './strings'

const HEARTBEAT_EVERY_MS = 250

export function Metrics() {
  return (
    <dl className={styles.metrics}>
      <Heartbeat />
      <Subscribed />
      <DataType />
      <DegradedSince />
      <Errors />
    </dl>
  )
}

interface MetricProps {
  label: string
  value: ReactNode
  note: ReactNode
  tone?: 'bad' | 'warn'
  title?: string
  name: string
  wide?: boolean
}

function Metric({ label, value, note, tone, title, name, wide }: MetricProps) {
  return (
    <div className={styles.metric} data-wide={wide} data-testid={`metric-${name}`}>
      <dt>{label}</dt>
      <dd data-tone={tone} className={`${styles.metricValue} ${shared.tone}`}>
        {value}
      </dd>
      <dd className={styles.metricNote} title={title}>
        {note}
      </dd>
    </div>
  )
}

function Heartbeat() {
  const { strings, format } = useCard()
  const status = useStore('status', (store) => store.status)
  const now = useNow(HEARTBEAT_EVERY_MS)
  const age = heartbeatAge(status, now)
  const known = Boolean(status?.last_heartbeat)
  return (
    <Metric
      name="heartbeat"
      label={strings.metric.heartbeat}
      value={known ? fill(strings.metric.ago, { age: format.age(age, true) }) : strings.none}
      tone={known && age > SILENT_SECONDS ? 'bad' : undefined}
      note={status?.last_heartbeat ? format.moment(Date.parse(status.last_heartbeat)) : ''}
    />
  )
}

function Subscribed() {
  const { strings, format } = useCard()
  const status = useStore('status', (store) => store.status)
  const count = status?.subscribed_symbols?.length
  const planned = Object.values(status?.symbols ?? {}).filter((symbol) => symbol.state !== 'removed').length
  const note =
    count === undefined || planned === 0
      ? ''
      : count >= planned
        ? strings.metric.allPlanned
        : fill(strings.metric.ofPlanned, { count: format.count(planned) })
  return (
    <Metric
      name="subscribed"
      label={strings.metric.subscribed}
      value={count === undefined ? strings.none : format.count(count)}
      note={note}
    />
  )
}

function DataType() {
  const { strings, format } = useCard()
  const status = useStore('status', (store) => store.status)
  const asked = useStore('plan', (store) => store.plan?.market_data_type)
  const beat = useBeat()
  const type = status?.market_data_type
  const refresh = status?.last_snapshot_refresh
  const note =
    asked && type && asked !== type
      ? fill(strings.metric.asked, { type: word(strings.dataType, asked) })
      : refresh
        ? fill(strings.metric.lastSnapshot, { age: format.age(ageOf(refresh, beat)) })
        : ''
  return (
    <Metric
      name="data-type"
      label={strings.metric.dataType}
      value={type ? word(strings.dataType, type) : strings.none}
      tone={type && type !== 'realtime' ? 'warn' : undefined}
      note={note}
    />
  )
}

function DegradedSince() {
  const { strings, format } = useCard()
  const since = useStore('status', (store) => store.status?.degraded_since)
  const beat = useBeat()
  return (
    <Metric
      name="degraded"
      label={strings.metric.degradedSince}
      value={since ? format.moment(Date.parse(since)) : strings.none}
      tone={since ? 'warn' : undefined}
      note={
        since
          ? fill(strings.metric.lasting, { age: format.age(ageOf(since, beat)) })
          : strings.metric.noneDegraded
      }
    />
  )
}

function Errors() {
  const { strings, format } = useCard()
  const status = useStore('status', (store) => store.status)
  const last = status?.last_error
  const count = status?.ib_error_count ?? 0
  const when = last ? format.clock(Date.parse(last.time)) : ''
  const text = last ? [last.code, last.symbol, last.message].filter(Boolean).join(' · ') : ''
  return (
    <Metric
      name="errors"
      label={strings.metric.errors}
      value={status ? format.count(count) : strings.none}
      wide
      title={last ? `${strings.metric.lastError}: ${when} ${text}` : undefined}
      note={
        last ? (
          <>
            <span className={shared.srOnly}>{strings.metric.lastError}: </span>
            {when} <span className={styles.errorText}>{text}</span>
          </>
        ) : status ? (
          strings.metric.noErrors
        ) : (
          ''
        )
      }
    />
  )
}
